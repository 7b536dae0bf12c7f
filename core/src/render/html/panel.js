(() => {
  const host = document.currentScript.parentNode;
  const template = host.querySelector('template');
  let root = host.shadowRoot;
  if (!root) {
    if (!template) return;
    root = host.attachShadow({ mode: 'open' });
    root.append(template.content);
  }
  const id = name => root.getElementById(name);
  const panel = id('panel'), copy = id('copy'), ticket = id('ticket'), filter = id('filter');
  root.addEventListener('keydown', event => {
    if (event.key === 'Escape') panel.open = false;
  });
  if (copy) {
    copy.hidden = false;
    copy.onclick = () => {
      const done = () => { copy.textContent = 'Copied'; };
      const byHand = () => { ticket.select(); if (document.execCommand('copy')) done(); };
      if (navigator.clipboard) navigator.clipboard.writeText(ticket.value).then(done, byHand);
      else byHand();
    };
  }
  if (filter) {
    filter.parentNode.hidden = false;
    filter.oninput = () => {
      const wanted = filter.value.toLowerCase();
      for (const row of root.querySelectorAll('[data-row=call]'))
        row.hidden = !row.textContent.toLowerCase().includes(wanted);
    };
  }
})();
