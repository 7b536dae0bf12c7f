//! The panel as a browser has it: scripts that tests run in the page.

/// The rows as the browser has them, in its shadow root.
pub const ROWS: &str = "
    const root = document.querySelector('ioprofiler-panel').shadowRoot;
    const rows = name => [...root.querySelectorAll(`[data-row=${name}]`)];
    return {
        categories: rows('category').map(({dataset: d}) => [d.category, d.calls, d.time, d.self]),
        totals: rows('total').map(({dataset: d}) => [d.name, d.time]),
        calls: rows('call').map(row => [
            row.dataset.category, row.dataset.start, row.dataset.time,
            row.querySelector('[data-detail]').textContent]),
    }";

/// Opens the panel.
pub const OPEN: &str =
    "document.querySelector('ioprofiler-panel').shadowRoot.getElementById('panel').open = true";

/// Whether each of the panel's calls and totals can be seen: has a place and a visible style. Of
/// the flags' small table a row is narrower, by the machine's fonts.
pub const VISIBLE: &str = "
    const root = document.querySelector('ioprofiler-panel').shadowRoot;
    return [...root.querySelectorAll('[data-row]')].every(row => {
        const {width, height} = row.getBoundingClientRect();
        const least = row.dataset.row === 'flag' ? 200 : 300;
        return width > least && height > 8 && height < 200
            && row.checkVisibility({opacityProperty: true, visibilityProperty: true});
    })";
