// Filter and sort what a page lists.
//
// Filter: <form data-filter hidden> with an <input type="search">, any number of <select name="dataset"> and the like, and
// an <output>. It hides elements with `data-item` that do not hold all words of the search, or whose `data-dataset` and
// the like differ from the selects. An element with `data-items="rows"` counts the items inside it for the output, one
// with `data-items=""` does not; its `data-empty` shows when all of them are hidden.
//
// Sort: <table data-sort> whose <th> hold <button>s; a cell's `data-value` is a number that is sorted instead of its text;
// an empty one comes last in both directions.
(() => {
  "use strict";

  const startFilter = (form) => {
    const search = form.querySelector("input[type=search]");
    const selects = [...form.querySelectorAll("select")];
    const output = form.querySelector("output");
    const lists = [...document.querySelectorAll("[data-items]")].map((element) => ({
      name: element.dataset.items,
      empty: element.querySelector("[data-empty]"),
      items: [...element.querySelectorAll("[data-item]")].map((item) => ({
        item,
        text: item.textContent.toLowerCase(),
      })),
    }));

    const apply = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      const counts = [];
      for (const { name, empty, items } of lists) {
        let shown = 0;
        for (const { item, text } of items) {
          const fits =
            words.every((word) => text.includes(word)) &&
            selects.every((select) => select.value === "" || item.dataset[select.name] === select.value);
          item.hidden = !fits;
          shown += fits;
        }
        if (empty) empty.hidden = shown > 0;
        if (name) counts.push(`${shown} of ${items.length} ${name}`);
      }
      output.textContent = `Showing ${counts.join(", ")}`;
    };

    for (const kind of ["input", "change"]) form.addEventListener(kind, apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(apply));  // the fields are emptied after this event
    form.hidden = false;
    apply();
  };

  const startSort = (table) => {
    const headers = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];

    const compare = (one, other, column, direction) => {
      const [a, b] = [one, other].map((row) => row.cells[column]);
      if (!("value" in a.dataset) && !("value" in b.dataset)) {
        return direction * a.textContent.trim().localeCompare(b.textContent.trim(), "en", { numeric: true });
      }
      const [x, y] = [a, b].map((cell) => cell.dataset.value ?? "");
      if (x === "" || y === "") return (x === "") - (y === "");
      return direction * (Number(x) - Number(y));
    };

    headers.forEach((header, column) => {
      header.querySelector("button")?.addEventListener("click", () => {
        const direction = header.ariaSort === "ascending" ? -1 : 1;
        for (const other of headers) other.ariaSort = other.querySelector("button") ? "none" : null;
        header.ariaSort = direction === 1 ? "ascending" : "descending";
        body.append(...[...body.rows].sort((one, other) => compare(one, other, column, direction)));
      });
    });
  };

  document.querySelectorAll("form[data-filter]").forEach(startFilter);
  document.querySelectorAll("table[data-sort]").forEach(startSort);
})();
