// What every page does: theme, contents on a phone, search, copying code, the figures
// that move. A page reads well without any of it. A classic script, so that it works
// from disk.
"use strict";

(() => {
  const { explore, stepper, index, root } = document.currentScript.dataset;
  const html = document.documentElement;
  html.classList.add("script");

  // ---- Elements; explore.js and step.js use them too

  function filled(parent, node, attributes, text) {
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    parent.append(node);
    return node;
  }

  function element(parent, name, attributes = {}, text = "") {
    return filled(parent, document.createElement(name), attributes, text);
  }

  function drawn(parent, name, attributes = {}, text = "") {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    return filled(parent, node, attributes, text);
  }

  window.course = { element, drawn };

  // A script of the site, loaded once; the promise resolves when it has run.
  const loaded = new Map();

  function load(src) {
    if (!loaded.has(src)) {
      const wait = new Promise((resolve, reject) => {
        const script = document.createElement("script");
        Object.assign(script, { src, onload: resolve, onerror: reject });
        document.head.append(script);
      });
      loaded.set(src, wait);
    }
    return loaded.get(src);
  }

  // ---- Figures that move: their script comes when the first of them is near

  for (const [kind, script] of Object.entries({ explore, stepper })) {
    const near = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        near.disconnect();
        load(script);
      },
      { rootMargin: "600px" },
    );
    document.querySelectorAll(`figure.${kind}`).forEach((figure) => near.observe(figure));
  }

  // ---- Theme: as the system has it, light, dark

  const THEMES = { "": "as the system has it", light: "light", dark: "dark" };
  const themes = Object.keys(THEMES);
  const theme = document.getElementById("theme");

  function wear(name) {
    html.dataset.theme = name;
    theme.setAttribute("aria-label", `Theme: ${THEMES[name]}`);
    theme.title = `Theme: ${THEMES[name]}`;
  }

  wear(themes.includes(html.dataset.theme) ? html.dataset.theme : "");
  theme.addEventListener("click", () => {
    wear(themes[(themes.indexOf(html.dataset.theme) + 1) % themes.length]);
    try {
      localStorage.theme = html.dataset.theme;
    } catch {
      // A private window may refuse to remember it.
    }
  });

  // ---- Contents on a narrow screen

  const menu = document.getElementById("menu");
  const contents = document.getElementById("contents");

  function show(open) {
    menu.setAttribute("aria-expanded", open);
    contents.classList.toggle("open", open);
  }

  menu.addEventListener("click", () => show(menu.getAttribute("aria-expanded") !== "true"));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || menu.getAttribute("aria-expanded") !== "true") return;
    show(false);
    menu.focus();
  });
  const here = contents.querySelector("[aria-current]");
  if (here) contents.scrollTop = here.offsetTop - contents.clientHeight / 2;

  // ---- What an address points at is seen: folded cells open

  function unfold() {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    const cell = target.closest(".cell");
    const folds = cell ? [...cell.querySelectorAll(":scope > details")] : [];
    for (let at = target; at; at = at.parentElement) folds.push(at);
    for (const node of folds) if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView();
  }

  addEventListener("hashchange", unfold);
  unfold();

  // ---- Code is copied at a press; its button comes when it is near

  function offer(pre) {
    const about = { type: "button", class: "copy" };
    const button = element(pre.parentElement, "button", about, "Copy");
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    });
  }

  const offers = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        offers.unobserve(target);
        offer(target);
      }
    },
    { rootMargin: "600px" },
  );
  if (navigator.clipboard) {
    for (const pre of document.querySelectorAll(".highlight > pre")) {
      if (!pre.closest(".cell_output")) offers.observe(pre);
    }
  }

  // ---- What scrolls sideways can be reached by the keyboard

  const scrolls = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
      else target.removeAttribute("tabindex");
    }
  });
  const wide = "pre, .katex-display, .table, .cell_output";
  document.querySelectorAll(wide).forEach((node) => scrolls.observe(node));

  // ---- Search: every word of the query stands somewhere in the section found. Text is
  // compared as it is, letter by letter, so that Chinese needs no dictionary.

  const MOST = 30; // sections shown
  const AROUND = 70; // letters of a section shown before and after a word
  const finder = document.getElementById("finder");
  const [input, status, list] = ["input", "p", "ol"].map((what) => finder.querySelector(what));
  const plain = (text) => text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase();
  let sections = null;

  async function find() {
    finder.showModal();
    input.select();
    if (sections) return;
    status.textContent = "Loading …";
    await load(index);
    sections = window.courseIndex.map(([page, path, anchor, title, text]) => {
      const looks = { page: plain(page), title: plain(title), text: plain(text) };
      return { page, path, anchor, title, text, looks };
    });
    search();
  }

  // How well a section fits; 0 if a word is missing. A word counts for less in a long
  // text, as the bibliography is.
  function score({ looks }, words) {
    let sum = 0;
    for (const word of words) {
      const times = looks.text.split(word).length - 1;
      const often = Math.min(times, 5) / (1 + looks.text.length / 2000);
      const value = 9 * looks.title.includes(word) + 4 * looks.page.includes(word) + often;
      if (value === 0) return 0;
      sum += value;
    }
    return sum;
  }

  // The text around the first word, with every word marked.
  function excerpt(parent, { text }, words) {
    const low = text.toLowerCase(); // as long as the text, or marks would slip
    const first = Math.min(...words.map((word) => low.indexOf(word)).filter((at) => at >= 0), text.length);
    const from = first < text.length ? Math.max(0, first - AROUND) : 0;
    const piece = `${from ? "… " : ""}${text.slice(from, from + 3 * AROUND)}`;
    const literal = (word) => word.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    const any = new RegExp(`(${words.map(literal).join("|")})`, "gi");
    const node = element(parent, "span");
    piece.split(any).forEach((part, i) => {
      if (i % 2) element(node, "mark", {}, part);
      else node.append(part);
    });
  }

  function search() {
    const words = plain(input.value).split(/\s+/).filter(Boolean);
    list.replaceChildren();
    if (!sections || !words.length) {
      status.textContent = "";
      return;
    }
    const found = sections.map((section) => [score(section, words), section]).filter(([value]) => value);
    found.sort(([one], [other]) => other - one);
    status.textContent = found.length ? `${found.length} sections` : "Nothing found.";
    for (const [, section] of found.slice(0, MOST)) {
      const href = `${root}${section.path}.html${section.anchor && `#${section.anchor}`}`;
      const link = element(element(list, "li"), "a", { href });
      element(link, "b", {}, section.title);
      if (section.page !== section.title) element(link, "small", {}, section.page);
      excerpt(link, section, words);
    }
  }

  input.addEventListener("input", search);
  document.getElementById("search").addEventListener("click", find);
  list.addEventListener("click", (event) => event.target.closest("a") && finder.close());
  finder.addEventListener("click", (event) => event.target === finder && finder.close());
  finder.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter" && document.activeElement === input) {
      event.preventDefault();
      list.querySelector("a")?.click();
    } else if (step) {
      event.preventDefault();
      const stops = [input, ...list.querySelectorAll("a")];
      stops[Math.max(0, stops.indexOf(document.activeElement) + step)]?.focus();
    }
  });

  // ---- Keys: Control+K searches, the arrows turn the page

  document.addEventListener("keydown", (event) => {
    if (event.key === "k" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      find();
    }
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const turn = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    if (turn && [document.body, document.getElementById("main")].includes(event.target)) {
      document.querySelector(`.neighbours [rel=${turn}]`)?.click();
    }
  });
})();
