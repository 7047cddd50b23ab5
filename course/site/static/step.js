// Runs of an algorithm on a grid (lib/stepping.py). Every value stands in the page, where
// lib put it when the book was built; what is here chooses among them and draws.
"use strict";

(() => {
  const LARGEST = 76; // pixels of a cell
  const LETTERS = [10, 14]; // pixels of the numbers, at least and at most
  const SLOW = matchMedia("(prefers-reduced-motion: reduce)");

  const { element, drawn } = window.course; // site.js

  // ---- Frames: lib stores of each what is not as it was in the frame before.

  function unpacked(frames, count) {
    let values = Array(count).fill(null);
    let looks = Array(count).fill(0);
    let path = [];
    return frames.map(({ v = [], p = [], m = [], at, k = path.length, a = [], t }) => {
      values = values.slice();
      looks = looks.slice();
      for (const [s, value] of v) values[s] = value;
      for (const [s, look] of p) looks[s] = look;
      path = [...path.slice(0, k), ...a];
      return { values, looks, path, marked: m, at, says: t };
    });
  }

  // ---- The picture. Shapes are in widths of a cell, around its middle.

  const frame = (inset) => {
    const [from, side] = [inset - 0.5, 1 - 2 * inset];
    return `M${from} ${from}h${side}v${side}h${-side}z`;
  };
  const HATCH = "M-.5-.17L-.17-.5M-.5.17L.17-.5M-.5.5L.5-.5M-.17.5L.5-.17M.17.5L.5.17";

  function shape(parent, name, d, attributes = {}) {
    return drawn(parent, "path", { d, class: `stepper-${name}`, ...attributes });
  }

  const forbid = (cell) => shape(cell, "forbidden", HATCH);
  const aim = (cell) => shape(cell, "target", frame(0.03) + frame(0.085));
  const mark = (cell) => shape(cell, "marked", frame(0.05));

  function ring(cell, { layout, colours }) {
    const attributes = { cy: layout.arrows, r: layout.ring, class: "stepper-agent" };
    drawn(cell, "circle", { ...attributes, stroke: colours.green });
  }

  function colour(cell, value, { limit, colours }) {
    const fill = value < 0 ? colours.blue : colours.vermilion;
    const strength = 0.3 * Math.min(1, Math.abs(value) / limit);
    shape(cell, "cell", frame(0), { fill, "fill-opacity": strength });
  }

  // All labels have room in a cell of this many letters; returns pixels of a cell, and
  // of its letters.
  function sizes(width, columns, letters) {
    const fits = (size) => (0.62 * letters * size) / 0.92;
    const least = Math.max(fits(LETTERS[0]), LETTERS[0] / 0.25);
    const cell = Math.max(Math.min(LARGEST, (width - 2) / columns), least);
    const size = Math.min(LETTERS[1], 0.25 * cell, (LETTERS[0] * cell) / fits(LETTERS[0]));
    return [cell, size];
  }

  function draw(plot, data, now, written, [side, size]) {
    const [rows, columns] = data.shape;
    const across = (s) => (0.5 + (s % columns)) * side + 1;
    const down = (s) => (0.5 + Math.floor(s / columns)) * side + 1;
    const [width, height] = [columns, rows].map((count) => Math.ceil(count * side + 2));
    for (const [key, value] of Object.entries({ width, height })) plot.setAttribute(key, value);
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.replaceChildren();
    const all = Array.from(now.values, (_, s) => {
      const transform = `translate(${across(s)} ${down(s)}) scale(${side})`;
      return drawn(plot, "g", { transform });
    });
    all.forEach((cell, s) => colour(cell, now.values[s], data));
    data.forbidden.forEach((s) => forbid(all[s]));
    data.target.forEach((s) => aim(all[s]));
    if (now.path.length > 1) {
      const low = data.layout.arrows * side;
      const points = now.path.map((s) => `${across(s)} ${down(s) + low}`);
      shape(plot, "path", `M${points.join("L")}`, { stroke: data.colours.purple });
    }
    now.values.forEach((value, s) => {
      const transform = `translate(${across(s)} ${down(s)}) scale(${side})`;
      const cell = drawn(plot, "g", { transform });
      const arrows = `translate(0 ${data.layout.arrows})`;
      shape(cell, "policy", data.looks[now.looks[s]], { transform: arrows });
      if (s === now.at) ring(cell, data);
      if (now.marked.includes(s)) mark(cell);
      const [x, y] = [across(s), down(s) + data.layout.number * side];
      drawn(plot, "text", { x, y, "font-size": size, "data-state": s }, written(value));
    });
  }

  // What the signs mean, of those that occur.
  function legend(parent, data, runs) {
    const list = element(parent, "ul");
    const frames = runs.flat();
    const explain = (occurs, name, sign) => {
      if (!occurs) return;
      const item = element(list, "li");
      const key = drawn(item, "svg", { viewBox: "-.55 -.55 1.1 1.1", "aria-hidden": "true" });
      sign(key);
      element(item, "span", {}, name);
    };
    const centred = { ...data, layout: { ...data.layout, arrows: 0 } };
    const line = { stroke: data.colours.purple };
    explain(frames.some(({ marked }) => marked.length), "just changed", mark);
    explain(frames.some(({ at }) => at !== undefined), "agent", (key) => ring(key, centred));
    explain(frames.some(({ path }) => path.length > 1), "its path", (key) =>
      shape(key, "path", "M-.5 .25H0V-.25H.5", line),
    );
    explain(data.forbidden.length, "forbidden", (key) => {
      shape(key, "cell", frame(0), { fill: "none" });
      forbid(key);
    });
    const twice = frame(0.03) + frame(0.2);
    explain(data.target.length, "target", (key) => shape(key, "target", twice));
  }

  // ---- Controls

  function button(parent, name, pressed) {
    const node = element(parent, "button", { type: "button" }, name);
    node.addEventListener("click", () => {
      if (node.getAttribute("aria-disabled") !== "true") pressed();
    });
    return node; // disabled in words only: it would lose the keyboard's focus
  }

  function choice(parent, names, group, chosen) {
    if (names.length < 2) return;
    const row = element(parent, "fieldset");
    element(row, "legend", {}, "run");
    names.forEach((name, i) => {
      const label = element(row, "label");
      const input = element(label, "input", { type: "radio", name: group });
      input.checked = i === 0;
      label.append(name);
      input.addEventListener("change", () => chosen(i));
    });
  }

  function slider(parent, longest, moved) {
    const row = element(parent, "label");
    element(row, "span", {}, "step");
    const input = element(row, "input", { type: "range", min: 0 });
    const value = element(row, "b", { "aria-hidden": "true" });
    value.style.minWidth = `${2 * `${longest}`.length + 3}ch`;
    input.addEventListener("input", () => moved(input.valueAsNumber));
    return (k, last) => {
      input.max = last;
      input.value = k;
      value.textContent = `${k} / ${last}`;
      input.setAttribute("aria-valuetext", `${k} of ${last}`);
    };
  }

  // ---- One figure

  function step(figure, number) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const names = data.runs.map(({ name }) => name);
    const runs = data.runs.map(({ frames }) => unpacked(frames, data.shape[0] * data.shape[1]));
    const longest = Math.max(...runs.map((run) => run.length - 1));
    const written = (value) =>
      value === null ? "" : value.toFixed(data.digits).replace("-", "−");
    const lengths = runs.flat().flatMap(({ values }) => values.map((v) => written(v).length));
    const letters = lengths.reduce((most, length) => Math.max(most, length), 1);
    let [run, k, timer] = [runs[0], 0, null];

    figure.classList.add("stepping"); // hides the picture, except in print
    const outer = element(figure, "div", { class: "stepper-grid" });
    const alt = figure.querySelector("img").alt;
    const plot = drawn(outer, "svg", { role: "img", "aria-label": alt });
    const says = element(figure, "p", { "aria-live": "polite" });
    legend(figure, data, runs);
    const controls = element(figure, "div", { class: "figure-controls" });
    choice(controls, names, `stepper-${number}`, (i) => {
      run = runs[i];
      go(k);
    });
    const showSlider = slider(controls, longest, (to) => go(to));
    const row = element(controls, "div", { class: "stepper-buttons" });
    const start = button(row, "first", () => go(0));
    const back = button(row, "back", () => go(k - 1));
    const forth = button(row, "step", () => go(k + 1));
    const play = button(row, "play", () => (timer === null ? begin() : go(k)));
    const end = button(row, "last", () => go(run.length - 1));

    // Show a frame, and stop where it was playing.
    function go(to) {
      clearTimeout(timer);
      timer = null;
      show(to);
    }

    // Nothing is read aloud while it plays, only where it stops.
    function begin() {
      if (k === run.length - 1) show(0);
      timer = setTimeout(next, SLOW.matches ? 1000 : 350);
      show(k);
    }

    function next() {
      if (k + 1 >= run.length - 1) {
        go(k + 1);
        return;
      }
      show(k + 1);
      timer = setTimeout(next, SLOW.matches ? 1000 : 350);
    }

    function show(to) {
      const last = run.length - 1;
      k = Math.min(Math.max(to, 0), last);
      showSlider(k, last);
      says.setAttribute("aria-live", timer === null ? "polite" : "off");
      says.textContent = run[k].says;
      play.textContent = timer === null ? "play" : "pause";
      for (const node of [start, back]) node.setAttribute("aria-disabled", k === 0);
      for (const node of [forth, end]) node.setAttribute("aria-disabled", k === last);
      play.setAttribute("aria-disabled", last === 0);
      redraw();
    }

    // A grid that is wider than the page scrolls, and follows the agent.
    function redraw() {
      if (outer.clientWidth === 0) return;
      const size = sizes(outer.clientWidth, data.shape[1], letters);
      draw(plot, data, run[k], written, size);
      const wide = outer.scrollWidth > outer.clientWidth;
      if (wide) outer.tabIndex = 0;
      else outer.removeAttribute("tabindex");
      const follow = run[k].at ?? run[k].marked[0];
      if (!wide || follow === undefined) return;
      const middle = (0.5 + (follow % data.shape[1])) * size[0];
      const [from, to] = [outer.scrollLeft, outer.scrollLeft + outer.clientWidth];
      if (middle - size[0] < from || middle + size[0] > to) {
        outer.scrollLeft = middle - outer.clientWidth / 2;
      }
    }

    new ResizeObserver(redraw).observe(outer);
    show(0);
  }

  document.querySelectorAll("figure.stepper").forEach(step);
})();
