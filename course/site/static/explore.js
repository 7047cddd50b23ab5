// Figures with sliders (lib/interactive.py). Every value stands in the page, where lib
// put it when the book was built; what is here chooses among them and draws.
"use strict";

(() => {
  // The shapes of points, one a series: circle, square, triangle, diamond.
  const SHAPES = [
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "M-3-3h6v6h-6z",
    "M0-4L4 3h-8z",
    "M0-4.5L4.5 0L0 4.5L-4.5 0z",
  ];

  const { element, drawn } = window.course; // site.js

  // ---- Numbers and axes

  // 0.25, 12,000, 3.1 × 10⁻⁵
  function written(value) {
    const size = Math.abs(value);
    if (size === 0 || (size >= 1e-3 && size < 1e6)) {
      const text = value.toLocaleString("en", { maximumSignificantDigits: 6 });
      return text.replace("-", "−");
    }
    const [digits, power] = value.toExponential(5).split("e").map(Number);
    const raise = (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)];
    const raised = String(power).replace(/./g, raise);
    return digits === 1 ? `10${raised}` : `${written(digits)} × 10${raised}`;
  }

  // A function from values to pixels between `from` and `to`.
  function placing({ scale, limits }, from, to) {
    const warp = scale === "log" ? Math.log10 : (value) => value;
    const [low, high] = limits.map(warp);
    return (value) => from + ((warp(value) - low) / (high - low)) * (to - from);
  }

  // The multiples of `step` between the limits.
  function multiples(low, high, step) {
    const first = Math.ceil(low / step);
    const count = Math.max(0, Math.floor(high / step) - first + 1);
    return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }

  // About `most` round values: on a logarithmic axis powers of ten if there are two.
  function ticks({ scale, limits: [low, high] }, most) {
    if (scale === "log") {
      const powers = multiples(Math.log10(low), Math.log10(high), 1);
      const every = Math.ceil(powers.length / most);
      const values = powers.filter((_, i) => i % every === 0).map((p) => Number(`1e${p}`));
      if (values.length > 1) return values;
    }
    const rough = (high - low) / most;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * unit).find((s) => s >= rough);
    return multiples(low, high, step);
  }

  // ---- The picture

  const look = ({ colour, dashes }) => ({
    stroke: colour,
    "stroke-dasharray": dashes || "none",
    class: "explore-line",
  });

  function drawShape(parent, i, { colour }, [x, y]) {
    drawn(parent, "path", { d: SHAPES[i], fill: colour, transform: `translate(${x} ${y})` });
  }

  function drawAxes(plot, [across, up], place, { left, right, top, bottom }) {
    const line = (d) => drawn(plot, "path", { d, class: "explore-axis" });
    line(`M${left} ${top}V${bottom}H${right}`);
    for (const value of ticks(across, Math.max(1, Math.floor((right - left) / 60)))) {
      const x = place.x(value);
      line(`M${x} ${bottom}v4`);
      drawn(plot, "text", { x, y: bottom + 17, "text-anchor": "middle" }, written(value));
    }
    for (const value of ticks(up, 5)) {
      const y = place.y(value);
      line(`M${left} ${y}h-4`);
      drawn(plot, "text", { x: left - 8, y: y + 4, "text-anchor": "end" }, written(value));
    }
    const middle = (left + right) / 2;
    drawn(plot, "text", { x: middle, y: bottom + 36, "text-anchor": "middle" }, across.label);
    drawn(plot, "text", { x: 2, y: 13 }, up.label);
  }

  // Draw one state; `points` of every series, `read` is the one that is read in each or
  // undefined. Returns a function from values to pixels.
  function draw(plot, data, points, read) {
    const width = plot.clientWidth;
    const height = Math.round(Math.min(320, Math.max(230, 0.46 * width)));
    const letters = Math.max(...ticks(data.axes[1], 5).map((value) => written(value).length));
    const box = { left: 14 + 7 * letters, right: width - 16, top: 24, bottom: height - 44 };
    const place = {
      x: placing(data.axes[0], box.left, box.right),
      y: placing(data.axes[1], box.bottom, box.top),
    };
    const pixels = ([x, y]) => [place.x(x), place.y(y)].map((v) => Math.round(10 * v) / 10);
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.setAttribute("height", height);
    plot.replaceChildren();
    drawAxes(plot, data.axes, place, box);
    data.series.forEach((series, i) => {
      const at = points[i].map(pixels);
      if (data.x) drawn(plot, "path", { d: `M${at.join("L")}`, ...look(series) });
      else at.forEach((point) => drawShape(plot, i, series, point));
    });
    const found = read.filter(Boolean).map(pixels);
    if (data.x) {
      const d = `M${found[0][0]} ${box.top}V${box.bottom}`;
      drawn(plot, "path", { d, class: "explore-cursor" });
      found.forEach((point, i) => drawShape(plot, i, data.series[i], point));
    } else {
      for (const [cx, cy] of found) {
        drawn(plot, "circle", { cx, cy, r: 8, class: "explore-cursor" });
      }
    }
    return pixels;
  }

  // ---- Controls: each returns a function that shows the k-th value, of which a screen
  // reader hears `more`.

  function slider(parent, name, count, label, moved) {
    const row = element(parent, "label");
    element(row, "span", {}, name);
    const input = element(row, "input", { type: "range", min: 0, max: count - 1 });
    const value = element(row, "b", { "aria-hidden": "true" });
    const lengths = Array.from({ length: count }, (_, k) => label(k).length);
    value.style.minWidth = `${Math.max(...lengths)}ch`;
    input.addEventListener("input", () => moved(input.valueAsNumber));
    return (k, more, now = count) => {
      input.max = now - 1;
      input.value = k;
      value.textContent = label(k);
      input.setAttribute("aria-valuetext", `${label(k)}; ${more}`);
    };
  }

  function buttons(parent, name, count, label, moved, group) {
    const row = element(parent, "fieldset");
    element(row, "legend", {}, name);
    const inputs = Array.from({ length: count }, (_, k) => {
      const button = element(row, "label");
      const input = element(button, "input", { type: "radio", name: group });
      button.append(label(k));
      input.addEventListener("change", () => moved(k));
      return input;
    });
    return (k) => {
      inputs[k].checked = true;
    };
  }

  function legend(parent, data) {
    const list = element(parent, "ul");
    return data.series.map((series, i) => {
      const item = element(list, "li");
      const key = drawn(item, "svg", { viewBox: "0 0 30 12", "aria-hidden": "true" });
      if (data.x) drawn(key, "path", { d: "M0 6H30", ...look(series) });
      else drawShape(key, i, series, [15, 6]);
      element(item, "span", {}, series.name);
      return element(item, "b");
    });
  }

  // ---- One figure

  function explore(figure, number) {
    const data = JSON.parse(figure.querySelector("script").textContent);
    const alt = figure.querySelector("img").alt;
    const chosen = data.choices.map((choice) => choice.first);
    const most = Math.max(...data.rows.map((row) => row.length));
    const what = data.x ? data.axes[0].label : "point";
    const along = (k) => written(data.x ? data.x[k] : k + 1);
    let reading = Math.floor(most / 2); // the number of the point that is read
    let pixels = null;

    figure.replaceChildren();
    const plot = drawn(figure, "svg", { role: "img", "aria-label": alt });
    const values = legend(figure, data);
    const controls = element(figure, "div", { class: "figure-controls" });
    const shows = data.choices.map((choice, i) => {
      const make = choice.buttons ? buttons : slider;
      const count = choice.values.length;
      const label = (k) => choice.values[k];
      const moved = (k) => {
        chosen[i] = k;
        update();
      };
      return make(controls, choice.name, count, label, moved, `explore-${number}-${i}`);
    });
    const showReading = slider(controls, `read at ${what}`, most, along, read);

    function read(k) {
      reading = k;
      update();
    }

    // The points of every series in the chosen state.
    function current() {
      const count = (n, choice, i) => n * choice.values.length + chosen[i];
      const rows = data.states[data.choices.reduce(count, 0)].map((row) => data.rows[row]);
      return data.x ? rows.map((row) => row.map((y, k) => [data.x[k], y])) : rows;
    }

    function update() {
      const points = current();
      const count = Math.max(...points.map((row) => row.length));
      reading = Math.min(reading, count - 1);
      const now = points.map((row) => row[reading]);
      const texts = now.map((point = []) => {
        const [x, y] = point.map(written);
        return data.x ? y : x && `(${x}, ${y})`;
      });
      values.forEach((node, i) => {
        node.textContent = texts[i] ?? "–";
      });
      const all = data.series.map((series, i) => `${series.name} ${texts[i] ?? "none"}`);
      const heard = all.join(", ");
      shows.forEach((show, i) => show(chosen[i], `${what} ${along(reading)}: ${heard}`));
      showReading(reading, heard, count);
      if (plot.clientWidth > 0) pixels = draw(plot, data, points, now);
    }

    // The place nearest to the pointer: along x for lines, in the plane for points.
    function nearest(event) {
      const { left, top } = plot.getBoundingClientRect();
      const [x, y] = [event.clientX - left, event.clientY - top];
      let [best, least] = [reading, Infinity];
      for (const row of current()) {
        row.forEach((point, k) => {
          const [px, py] = pixels(point);
          const distance = data.x ? Math.abs(px - x) : Math.hypot(px - x, py - y);
          if (distance < least) [best, least] = [k, distance];
        });
      }
      return best;
    }

    for (const kind of ["pointermove", "pointerdown"]) {
      plot.addEventListener(kind, (event) => pixels && read(nearest(event)));
    }
    new ResizeObserver(update).observe(plot);
    update();
  }

  document.querySelectorAll("figure.explore").forEach(explore);
})();
