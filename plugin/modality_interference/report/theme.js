// The button that switches between light and dark. Until it is used, the page follows the system.
(() => {
  "use strict";
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;

  const isDark = () => (chosen === null ? system.matches : chosen === "dark");
  const show = () => { button.textContent = isDark() ? "Switch to light" : "Switch to dark"; };

  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    show();
  });
  system.addEventListener("change", show);
  show();
  button.hidden = false;
})();
