// Tables can be read without this; with it, a click on a column's head sorts by it.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    const words = (head.dataset.sort ?? (column ? "number" : "words")) === "words";
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending" && !words || head.getAttribute("aria-sort") === "ascending";
      const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (a, b) => words ? value(a).localeCompare(value(b)) : value(a) - value(b);
      body.append(...[...body.rows].sort((a, b) => down ? order(b, a) : order(a, b)));
      heads.forEach(each => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
// What is there to be copied can be selected; with this, a button copies it.
for (const block of document.querySelectorAll("pre.copy")) {
  const button = document.createElement("button");
  button.className = "copybutton";
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${block.ariaLabel}`);
  block.after(button);
  button.addEventListener("click", async () => {
    getSelection().selectAllChildren(block);
    let copied = true;
    try { await navigator.clipboard.writeText(block.textContent); } catch { copied = document.execCommand("copy"); }
    button.textContent = copied ? "Copied" : "Selected: copy it with the keyboard";
  });
}
// The plots have axes; with this, a line follows the pointer through plots of one time axis and shows their values.
for (const drawing of document.querySelectorAll("svg:has(g.plot)")) {
  const make = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return drawing.appendChild(made);
  };
  const plots = [...drawing.querySelectorAll("g.plot")];
  const line = make("line", { class: "pointer", visibility: "hidden", y1: 0, y2: drawing.viewBox.baseVal.height });
  const words = plots.map(() => make("text", { class: "readout", visibility: "hidden" }));
  const show = shown => [line, ...words].forEach(each => each.setAttribute("visibility", shown ? "visible" : "hidden"));
  drawing.addEventListener("pointerleave", () => show(false));
  drawing.addEventListener("pointermove", event => {
    const x = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse()).x;
    line.setAttribute("x1", x);
    line.setAttribute("x2", x);
    show(true);
    plots.forEach((plot, number) => {
      const { top, height, most, unit } = plot.dataset;
      const values = [...plot.querySelectorAll("polyline")].flatMap(each => {
        const points = [...each.points];
        if (!points.length || x < points[0].x - 4 || x > points.at(-1).x + 4) return [];
        const nearest = points.reduce((a, b) => Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a);
        // Drawn to a tenth of a pixel: two digits are all there is.
        return [Number((Number(most) * (1 - (nearest.y - top) / height)).toPrecision(2))];
      });
      const right = x > drawing.viewBox.baseVal.width * 0.8;
      words[number].textContent = values.length ? `${values.join(", ")} ${unit}` : "";
      words[number].setAttribute("x", x + (right ? -6 : 6));
      words[number].setAttribute("y", Number(top) + 13);
      words[number].setAttribute("text-anchor", right ? "end" : "start");
    });
  });
}
