// Owns how the page looks before anything is shown. It is no module, so that it runs before the first paint.
try {
  const theme = localStorage.getItem('punctual.theme');
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch { /* Without storage the system's choice counts. */ }
