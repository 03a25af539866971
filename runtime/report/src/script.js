"use strict";
// The theme follows the system until the button is pressed.
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
// A heading of the table sorts by its column; again, the other way round.
for (const heading of document.querySelectorAll(".board thead th")) {
  heading.addEventListener("click", () => {
    const body = heading.closest("table").tBodies[0], column = heading.cellIndex;
    const sign = heading.dataset.sign === "1" ? -1 : 1;
    heading.dataset.sign = String(sign);
    const key = (row) => row.cells[column].dataset.sort;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
      return sign * (Number(x) - Number(y));
    };
    body.append(...[...body.rows].sort(compare));
  });
}
// A link to a run unfolds it.
function unfold() {
  const run = /^#run\d+$/.test(location.hash) && document.querySelector(location.hash);
  if (run) run.open = true;
}
addEventListener("hashchange", unfold);
unfold();
