//! What an operator is given beside: rules, dashboards.
