// Figures explain themselves and zoom, tables sort. Without this script the page is complete.
"use strict";

function explainFigures() {
  const box = document.createElement("div");
  box.className = "tip";
  box.setAttribute("role", "status");
  document.body.append(box);
  const textAt = (target) => {
    const group = target instanceof Element ? target.closest("[data-tips]") : null;
    if (!group) return null;
    const texts = JSON.parse(group.dataset.tips);
    if (texts.length === 1) return texts[0];
    return texts[[...group.querySelectorAll("use")].indexOf(target)] ?? null;
  };
  const show = (event) => {
    const text = textAt(event.target);
    box.classList.toggle("shown", text !== null);
    if (text === null) return;
    (document.querySelector("dialog[open]") || document.body).append(box);
    box.textContent = text;
    const left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8);
    const below = event.clientY + 18;
    const top = below + box.offsetHeight > innerHeight ? event.clientY - box.offsetHeight - 10 : below;
    box.style.transform = `translate(${Math.max(8, left)}px, ${Math.max(8, top)}px)`;
  };
  document.addEventListener("pointermove", show);
  document.addEventListener("pointerdown", show);
}

class Zoom {
  constructor(svg) {
    this.svg = svg;
    const [x, y, width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
    this.home = { x, y, width, height };
    this.view = { ...this.home };
    svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    svg.addEventListener("pointerdown", (event) => this.start(event));
    svg.addEventListener("dblclick", (event) => this.by(2, event));
  }
  // The point of the graphic below a point of the window, as shares of what is seen.
  at(event) {
    if (!event) return { x: 0.5, y: 0.5 };
    // In the large view there is room beside the graphic, or above and below it.
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    return { x: (place.x - this.view.x) / this.view.width, y: (place.y - this.view.y) / this.view.height };
  }
  by(factor, event) {
    const { x, y } = this.at(event);
    const width = Math.min(this.home.width, Math.max(this.home.width / 40, this.view.width / factor));
    const height = width * this.home.height / this.home.width;
    this.move(this.view.x + x * (this.view.width - width), this.view.y + y * (this.view.height - height), width, height);
  }
  move(x, y, width = this.view.width, height = this.view.height) {
    const within = (start, length, low, room) => Math.min(low + room - length, Math.max(low, start));
    this.view = {
      x: within(x, width, this.home.x, this.home.width),
      y: within(y, height, this.home.y, this.home.height),
      width, height,
    };
    const { view } = this;
    this.svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
    this.svg.classList.toggle("zoomed", view.width < this.home.width);
  }
  reset() { this.move(this.home.x, this.home.y, this.home.width, this.home.height); }
  // A plain wheel scrolls the page; with Ctrl, or in the large view, it zooms.
  wheel(event) {
    if (!event.ctrlKey && !this.svg.closest("dialog")) return;
    event.preventDefault();
    this.by(event.deltaY < 0 ? 1.25 : 0.8, event);
  }
  start(event) {
    if (!this.svg.classList.contains("zoomed") || event.button !== 0) return;
    const from = { x: event.clientX, y: event.clientY, view: { ...this.view } };
    const scale = this.svg.getScreenCTM().a;
    const drag = (now) => this.move(
      from.view.x - (now.clientX - from.x) / scale, from.view.y - (now.clientY - from.y) / scale,
    );
    const stop = () => {
      removeEventListener("pointermove", drag);
      removeEventListener("pointerup", stop);
    };
    addEventListener("pointermove", drag);
    addEventListener("pointerup", stop);
  }
}

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.title = label;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", act);
  return made;
}

function zoomFigures() {
  const dialog = document.createElement("dialog");
  dialog.append(button("×", "Close", () => dialog.close()));
  document.body.append(dialog);
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  for (const plot of document.querySelectorAll(".plot")) {
    const svg = plot.querySelector("svg");
    if (!svg) continue;
    const zoom = new Zoom(svg);
    const bar = document.createElement("div");
    bar.className = "tools";
    bar.append(
      button("+", "Zoom in", () => zoom.by(1.5)),
      button("−", "Zoom out", () => zoom.by(1 / 1.5)),
      button("⟲", "Show all", () => zoom.reset()),
      button("⤢", "Large view", () => {
        if (plot.closest("dialog")) { dialog.close(); return; }
        const hole = document.createElement("div");
        hole.style.height = `${plot.offsetHeight}px`;
        plot.replaceWith(hole);
        dialog.append(plot);
        dialog.showModal();
        dialog.addEventListener("close", () => { zoom.reset(); hole.replaceWith(plot); }, { once: true });
      }),
    );
    plot.prepend(bar);
  }
}

function sortTables() {
  const order = new Intl.Collator(undefined, { numeric: true });
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent.trim() : Number(cell.dataset.v);
  };
  const compare = (a, b) => {
    const numbers = typeof a === "number" && typeof b === "number";
    // What has no number comes last in both directions.
    if (!numbers && typeof a !== typeof b) return typeof a === "number" ? -Infinity : Infinity;
    return numbers ? a - b : order.compare(a, b);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const sort = button(head.textContent, `Sort by ${head.textContent}`, () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort(([a], [b]) => {
          const found = compare(a, b);
          return Number.isFinite(found) && down ? -found : found;
        });
        body.append(...rows.map(([, row]) => row));
      });
      head.replaceChildren(sort);
    });
    if (body.rows.length > 12) addFilter(table, body);
  }
}

function addFilter(table, body) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = `Search ${body.rows.length} rows`;
  field.setAttribute("aria-label", field.placeholder);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
  table.closest(".scroll").before(field);
}

explainFigures();
zoomFigures();
sortTables();
