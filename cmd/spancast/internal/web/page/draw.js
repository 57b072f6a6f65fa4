// Drawing: line charts and the tree of partitions, on canvases. Nothing here
// keeps state; what is drawn is an argument.
'use strict';

const draw = (() => {
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = () => css('color-scheme') === 'dark';
  // Colours of replicas, told apart from each other in both themes.
  const hues = () => dark()
    ? ['#6c9bff', '#3fc796', '#f08c4f', '#c58bff', '#e0b93f', '#f17fb5', '#45c3dc', '#9ac555']
    : ['#2f5fe0', '#0d8f68', '#cc5a14', '#8b3fd6', '#a67c00', '#cf2f7c', '#0a86a3', '#5b8213'];

  // begin sizes a canvas to its place on the page and clears it.
  function begin(canvas, height) {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth;
    if (height === undefined) height = canvas.clientHeight;
    else if (canvas.style.height !== height + 'px') canvas.style.height = height + 'px';
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const g = canvas.getContext('2d');
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = '11px system-ui, "DejaVu Sans", sans-serif';
    g.lineJoin = g.lineCap = 'round';
    return { g, width, height };
  }

  // nice is a round number that is not less than x.
  function nice(x) {
    if (!(x > 0)) return 1;
    const power = Math.pow(10, Math.floor(Math.log10(x)));
    return [1, 2, 4, 5, 10].find(n => n * power >= x * .999) * power;
  }

  const short = n => n >= 1e6 ? +(n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? +(n / 1e3).toFixed(1) + 'k' : n >= 100 ? Math.round(n) + '' : +n.toFixed(n < 1 ? 2 : 1) + '';
  const minutes = s => s === 0 ? 'now' : s < 60 ? '−' + Math.round(s) + ' s' : '−' + +(s / 60).toFixed(1) + ' min';

  // chart draws series of [{t, v}], v null where nothing is known, over the last
  // `span` seconds. Cursor is where the pointer is, in pixels, or null.
  function chart(canvas, series, span, now, least, cursor) {
    const { g, width, height } = begin(canvas), left = 40, right = width - 6, top = 8, bottom = height - 20;
    const ink = css('--soft'), line = css('--line');
    let most = least;
    for (const s of series) for (const p of s.points) if (p.v > most) most = p.v;
    const high = nice(most * 1.05), x = t => right - (now - t) / 1000 / span * (right - left), y = v => bottom - v / high * (bottom - top);
    g.fillStyle = ink; g.strokeStyle = line; g.lineWidth = 1;
    for (let i = 0; i <= 4; i++) {
      const at = Math.round(y(high * i / 4)) + .5;
      g.beginPath(); g.moveTo(left, at); g.lineTo(right, at); g.stroke();
      if (i % 2 === 0) { g.textAlign = 'right'; g.fillText(short(high * i / 4), left - 7, at + 3.5); }
    }
    for (let i = 0; i <= 4; i++) {
      g.textAlign = i === 0 ? 'left' : i === 4 ? 'right' : 'center';
      if (width > 420 || i % 2 === 0) g.fillText(minutes(span * (4 - i) / 4), left + (right - left) * i / 4, height - 5);
    }
    g.save(); g.beginPath(); g.rect(left, 0, right - left + 1, bottom + 1); g.clip();
    for (const s of series) {
      g.strokeStyle = s.colour; g.lineWidth = 1.8; g.setLineDash(s.dash || []);
      let from = null, last = null;
      const path = new Path2D(), area = new Path2D();
      const close = () => { if (from !== null) { area.lineTo(last, bottom); area.lineTo(from, bottom); area.closePath(); } from = null; };
      for (const p of s.points) {
        if (p.v === null) { close(); continue; }
        const px = x(p.t), py = y(p.v);
        if (from === null) { path.moveTo(px, py); area.moveTo(px, py); from = px; } else { path.lineTo(px, py); area.lineTo(px, py); }
        last = px;
      }
      close();
      if (s.fill) { g.globalAlpha = .13; g.fillStyle = s.colour; g.fill(area); g.globalAlpha = 1; }
      g.stroke(path);
    }
    g.restore();
    g.setLineDash([]);
    if (cursor === null || cursor < left || cursor > right) return null;
    const at = now - (right - cursor) / (right - left) * span * 1000;
    g.strokeStyle = ink; g.beginPath(); g.moveTo(cursor + .5, top); g.lineTo(cursor + .5, bottom); g.stroke();
    return at;
  }

  // lanes gives every partition a row: that of a parent that has ended, or the
  // first that is free. Partitions come oldest first.
  function lanes(list, now) {
    const rows = [], at = new Map(), end = p => p.end === null ? Infinity : p.end;
    for (const p of list) {
      let lane = -1;
      for (const parent of p.parents) {
        const l = at.get(parent);
        if (l !== undefined && rows[l] <= p.start + 1) { lane = l; break; }
      }
      if (lane < 0) lane = rows.findIndex(until => until <= p.start - 1);
      if (lane < 0) { lane = rows.length; rows.push(0); }
      rows[lane] = end(p);
      at.set(p.id, lane);
    }
    return { at, count: rows.length };
  }

  // tree draws partitions over the last `span` seconds and returns where each is,
  // for pointing at.
  function tree(canvas, list, span, now, colourOf, chosen) {
    const from = now - span * 1000;
    const shown = list.filter(p => (p.end === null ? now : p.end) > from);
    const { at, count } = lanes(shown, now);
    const pitch = Math.max(3, Math.min(24, 440 / Math.max(1, count))), top = 4, thick = pitch > 9 ? pitch - 6 : pitch - 1;
    const { g, width, height } = begin(canvas, Math.round(Math.max(64, count * pitch + top + 24)));
    const left = 2, right = width - 2, x = t => right - (now - t) / 1000 / span * (right - left);
    const soft = css('--soft'), line = css('--line'), card = css('--card'), hits = [];
    g.strokeStyle = line; g.fillStyle = soft; g.lineWidth = 1;
    for (let i = 0; i <= 6; i++) {
      const px = Math.round(left + (right - left) * i / 6) + .5;
      g.beginPath(); g.moveTo(px, 0); g.lineTo(px, height - 18); g.stroke();
      g.textAlign = i === 0 ? 'left' : i === 6 ? 'right' : 'center';
      if (width > 520 || i % 3 === 0) g.fillText(minutes(span * (6 - i) / 6), i === 0 ? 2 : i === 6 ? width - 2 : px, height - 4);
    }
    const middle = p => top + at.get(p.id) * pitch + pitch / 2, known = new Map(shown.map(p => [p.id, p]));
    for (const p of shown) {
      for (const id of p.parents) { // where it came from
        const parent = known.get(id);
        if (!parent || at.get(id) === at.get(p.id)) continue;
        const px = x(p.start), reach = Math.min(26, Math.max(6, pitch * 1.2));
        if (px < left) continue;
        g.strokeStyle = colourOf(p); g.globalAlpha = .75; g.lineWidth = pitch > 9 ? 1.6 : 1;
        g.beginPath(); g.moveTo(px - reach, middle(parent));
        g.bezierCurveTo(px - reach / 3, middle(parent), px - reach * .6, middle(p), px + 1, middle(p)); g.stroke();
        g.globalAlpha = 1;
      }
    }
    for (const p of shown) {
      const x0 = Math.max(left, x(p.start)), x1 = Math.max(x0 + 1.5, x(p.end === null ? now : p.end)), y = middle(p) - thick / 2;
      const done = Math.min(x1, Math.max(x0, x(p.state === 'FINISHED' ? p.end : p.position))), colour = colourOf(p), r = Math.min(4, thick / 2);
      const box = (a, b) => { g.beginPath(); g.roundRect(a, y, Math.max(1, b - a), thick, r); };
      if (p.state === 'CREATED') {
        g.setLineDash([3, 3]); g.strokeStyle = soft; g.lineWidth = 1; box(x0 + .5, x1 - .5); g.stroke(); g.setLineDash([]);
      } else {
        g.fillStyle = colour;
        g.globalAlpha = .3; box(x0, x1); g.fill();
        g.globalAlpha = p.state === 'FINISHED' ? .55 : 1; box(x0, done); g.fill();
        g.globalAlpha = 1;
      }
      if (p.end !== null && pitch > 9) { g.fillStyle = card; g.fillRect(x1 - 1, y, 2, thick); }
      if (pitch >= 19 && done - x0 > 104 && p.state !== 'FINISHED' && p.state !== 'CREATED') {
        g.fillStyle = dark() ? '#0c1117' : '#fff'; g.textAlign = 'left'; g.fillText(p.id, x0 + 7, middle(p) + 4);
      }
      if (p.id === chosen) { g.strokeStyle = css('--ink'); g.lineWidth = 2; box(x0 - 1, x1 + 1); g.stroke(); }
      hits.push({ p, x0, x1, y: middle(p) - pitch / 2, h: pitch });
    }
    return hits;
  }

  return { chart, tree, hues, css, short };
})();
