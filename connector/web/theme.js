// Not a module: it runs before the first paint, so that a chosen theme does not
// flash. settings.js writes what it reads.
document.documentElement.dataset.theme = localStorage.getItem('knatter.theme') || 'system';
