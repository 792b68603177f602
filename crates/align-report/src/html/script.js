'use strict';
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const tip = document.getElementById('tip');

  // Theme: the system's, or the reader's choice. A page opened from a file may have no storage.
  const button = document.getElementById('theme');
  const themes = ['auto', 'light', 'dark'];
  const store = (value) => { try { return value ? localStorage.setItem('theme', value) : localStorage.getItem('theme'); } catch { return null; } };
  const show = (theme) => {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.querySelector('span').textContent = theme;
  };
  let theme = themes.includes(store()) ? store() : 'auto';
  show(theme);
  button.hidden = false;
  button.addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    show(theme);
    store(theme);
  });

  // The section that is being read.
  const links = new Map(all('nav a').map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) target.seen = isIntersecting;
    const current = all('main > section').find((section) => section.seen);
    for (const [id, link] of links) {
      if (current && id === current.id) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  }, { rootMargin: '-20% 0px -60% 0px' });
  all('main > section').forEach((section) => seen.observe(section));

  // A table that is wider than its place can be scrolled with the keys.
  const reach = () => {
    for (const place of all('.table')) {
      if (place.scrollWidth > place.clientWidth) {
        place.tabIndex = 0;
        place.setAttribute('role', 'region');
        place.setAttribute('aria-label', place.querySelector('caption').textContent);
      } else {
        place.removeAttribute('tabindex');
        place.removeAttribute('role');
        place.removeAttribute('aria-label');
      }
    }
  };
  reach();
  addEventListener('resize', reach);

  // Numbers under the pointer, or under the arrow keys.
  const place = (x, y) => {
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = Math.max(4, Math.min(x + 14, innerWidth - width - 4)) + 'px';
    tip.style.top = Math.max(4, y - height - 12) + 'px';
  };
  const digits = (value) => {
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
    return String(Number(value.toPrecision(4)));
  };
  const scale = (text) => {
    const [low, high, from, to] = text.split(' ').map(Number);
    return (at) => low + ((at - from) / (to - from)) * (high - low);
  };
  for (const svg of all('svg[tabindex]')) {
    const lines = all('g[data-name]', svg).map((group) => ({
      name: group.dataset.name,
      points: group.querySelector('.line').getAttribute('d').split(/[ML]/).slice(1).map((pair) => pair.split(' ').map(Number)),
    })).filter((line) => line.points.length);
    if (!lines.length) continue;
    const [x, y] = [scale(svg.dataset.x), scale(svg.dataset.y)];
    const stops = [...new Set(lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
    const cross = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    cross.setAttribute('class', 'cross');
    svg.append(cross);
    let stop = -1;
    const at = (index) => {
      stop = index;
      const here = stops[stop];
      const [, , bottom, top] = svg.dataset.y.split(' ').map(Number);
      cross.setAttribute('d', `M${here} ${top}V${bottom}`);
      const near = lines.map((line) => {
        const point = line.points.reduce((a, b) => (Math.abs(b[0] - here) < Math.abs(a[0] - here) ? b : a));
        return { name: line.name, point };
      }).filter((line) => Math.abs(line.point[0] - here) < 6);
      const value = svg.dataset.hover === 'doublings' ? 2 ** x(here) : x(here);
      tip.textContent = [`${svg.dataset.names} ${digits(value)}`, ...near.map((line) => `${line.name} ${digits(y(line.point[1]))}`)].join('\n');
      const matrix = svg.getScreenCTM();
      place(here * matrix.a + matrix.e, near[0].point[1] * matrix.d + matrix.f);
    };
    const off = () => { cross.removeAttribute('d'); tip.hidden = true; };
    svg.addEventListener('pointermove', (event) => {
      const matrix = svg.getScreenCTM();
      const pointer = (event.clientX - matrix.e) / matrix.a;
      at(stops.reduce((best, value, index) => (Math.abs(value - pointer) < Math.abs(stops[best] - pointer) ? index : best), 0));
    });
    svg.addEventListener('pointerleave', off);
    svg.addEventListener('blur', off);
    svg.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      event.preventDefault();
      at(Math.max(0, Math.min(stops.length - 1, stop + by)));
    });
  }
  document.addEventListener('pointerover', (event) => {
    const target = event.target.closest('[data-tip]');
    if (target) {
      tip.textContent = target.dataset.tip;
      place(event.clientX, event.clientY);
    } else if (!event.target.closest('svg[tabindex]')) {
      tip.hidden = true;
    }
  });

  // Answers: search, filters, order.
  const form = document.getElementById('filter');
  if (!form) return;
  form.hidden = false;
  const list = document.getElementById('samples');
  const count = document.getElementById('count');
  const none = document.getElementById('none');
  const samples = all('.sample').map((element) => ({
    element,
    text: element.textContent.toLowerCase(),
    tags: JSON.parse(element.dataset.tags),
    verdicts: new Map(JSON.parse(element.dataset.verdicts).map(({ model, ...others }) => [model, others])),
  }));
  const found = typeof Highlight === 'function' && CSS.highlights ? new Highlight() : null;
  if (found) CSS.highlights.set('found', found);

  const highlight = (words, shown) => {
    if (!found) return;
    found.clear();
    if (!words.length) return;
    for (const { element } of shown.slice(0, 300)) {
      for (const holder of all('.text', element)) {
        const walker = document.createTreeWalker(holder, NodeFilter.SHOW_TEXT);
        while (walker.nextNode()) {
          const text = walker.currentNode.data.toLowerCase();
          for (const word of words) {
            for (let from = text.indexOf(word); from >= 0; from = text.indexOf(word, from + word.length)) {
              if (from + word.length > walker.currentNode.length) break;
              const range = new Range();
              range.setStart(walker.currentNode, from);
              range.setEnd(walker.currentNode, from + word.length);
              found.add(range);
            }
          }
        }
      }
    }
  };

  // Words of an answer that are not in the longest common subsequence with the baseline's.
  const differing = (before, after) => {
    const width = after.length + 1;
    const table = new Uint16Array((before.length + 1) * width);
    for (let i = before.length - 1; i >= 0; i--) {
      for (let j = after.length - 1; j >= 0; j--) {
        table[i * width + j] = before[i] === after[j] ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
    }
    const marked = after.map(() => true);
    for (let i = 0, j = 0; i < before.length && j < after.length;) {
      if (before[i] === after[j]) { marked[j] = false; i++; j++; }
      else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i++;
      else j++;
    }
    return marked;
  };
  const words = (text) => text.match(/\S+/g) || [];
  let marked = false;
  const mark = (on) => {
    if (on === marked) return;
    marked = on;
    for (const { element } of samples) {
      const [first, ...others] = all('.answer > .text', element);
      const before = words(first.textContent);
      for (const holder of others) {
        const text = holder.textContent;
        holder.textContent = text;
        const after = words(text);
        if (!on || before.length > 600 || after.length > 600) continue;
        const differs = differing(before, after);
        let index = 0;
        holder.replaceChildren(...(text.match(/\s+|\S+/g) || []).map((piece) => {
          if (!/\S/.test(piece) || !differs[index++]) return piece;
          const node = document.createElement('mark');
          node.textContent = piece;
          return node;
        }));
      }
    }
  };

  const apply = () => {
    const chosen = new FormData(form);
    const [text, tag, model, verdict, order] = ['text', 'tag', 'model', 'verdict', 'order'].map((name) => chosen.get(name) || '');
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = [];
    for (const sample of samples) {
      const fits = wanted.every((word) => sample.text.includes(word))
        && (!tag || sample.tags.includes(tag))
        && (!verdict || (sample.verdicts.get(model) || {}).verdict === verdict);
      sample.element.hidden = !fits;
      if (fits) shown.push(sample);
    }
    const gain = (sample) => (sample.verdicts.get(model) || {}).gain ?? 0;
    const sign = { up: -1, down: 1 }[order];
    const ordered = sign ? [...samples].sort((a, b) => sign * (gain(a) - gain(b))) : samples;
    if (ordered.some((sample, index) => list.children[index] !== sample.element)) list.append(...ordered.map((sample) => sample.element));
    count.textContent = `${shown.length} of ${samples.length}`;
    none.hidden = shown.length > 0;
    mark(chosen.has('diff'));
    highlight(wanted, shown);
  };
  form.addEventListener('input', apply);
  form.addEventListener('submit', (event) => event.preventDefault());
  form.addEventListener('reset', () => setTimeout(apply));
  none.querySelector('button').addEventListener('click', () => { form.reset(); });

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const search = form.elements.text;
    if (event.key === 'Escape' && event.target === search) { search.value = ''; apply(); search.blur(); return; }
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== 'radio' && event.target.type !== 'checkbox') return;
    if (event.key === '/') {
      event.preventDefault();
      form.scrollIntoView({ block: 'nearest' });
      search.focus();
    }
    const by = { j: 1, k: -1 }[event.key];
    if (!by) return;
    const visible = all('.sample:not([hidden])');
    const current = visible.indexOf(document.activeElement.closest('.sample'));
    const next = visible[current < 0 ? 0 : current + by];
    if (next) { next.focus({ preventScroll: true }); next.scrollIntoView({ block: 'start' }); }
  });
  apply();
})();
