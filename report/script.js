"use strict";
(function () {
  // Values under the pointer, and by arrow keys.
  var tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  var said = document.createElement("div");
  said.className = "said";
  said.setAttribute("aria-live", "polite");
  document.body.append(tip, said);

  function axisOf(text) {
    var p = text.split(" ");
    return { from: +p[0], to: +p[1], min: +p[2], max: +p[3], log: p[4] === "true", whole: p[5] === "true", label: p.slice(6).join(" ") };
  }
  function valueAt(a, pos) {
    var t = (pos - a.from) / (a.to - a.from);
    if (a.log) return Math.exp(Math.log(a.min) + t * (Math.log(a.max) - Math.log(a.min)));
    return a.min + t * (a.max - a.min);
  }
  function written(a, v) {
    var range = a.log ? Math.abs(v) : Math.abs(a.max - a.min);
    var digits = a.whole ? 0 : Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(range || 1))));
    return v.toFixed(digits).replace("-", "\u2212");
  }
  // What can be pointed at: marks with a text, and lines with their corners.
  function partsOf(svg) {
    var marks = [], lines = [];
    svg.querySelectorAll("[data-note]").forEach(function (g) {
      var at = g.dataset.at.split(" ");
      marks.push({ x: +at[0], y: +at[1], text: g.dataset.note });
    });
    svg.querySelectorAll("[data-line]").forEach(function (g) {
      g.querySelectorAll("polyline").forEach(function (l) {
        var points = l.getAttribute("points").split(" ").map(function (p) { var q = p.split(","); return { x: +q[0], y: +q[1] }; });
        lines.push({ name: g.dataset.line, points: points });
      });
    });
    return { marks: marks, lines: lines, x: axisOf(svg.dataset.x), y: axisOf(svg.dataset.y) };
  }
  function lineText(parts, line, p) {
    return line.name + ": " + parts.x.label + " " + written(parts.x, valueAt(parts.x, p.x)) + ", " + parts.y.label + " " + written(parts.y, valueAt(parts.y, p.y));
  }
  function nearest(parts, x, y) {
    var best = null, least = 30;
    parts.marks.forEach(function (m) {
      var d = Math.hypot(m.x - x, m.y - y);
      if (d < Math.min(least, 12)) { least = d * 0.5; best = { x: m.x, y: m.y, text: m.text }; }
    });
    parts.lines.forEach(function (l) {
      for (var i = 0; i + 1 < l.points.length; i++) {
        var a = l.points[i], b = l.points[i + 1], dx = b.x - a.x, dy = b.y - a.y, n = dx * dx + dy * dy;
        var t = n > 0 ? Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / n)) : 0;
        var p = { x: a.x + t * dx, y: a.y + t * dy }, d = Math.hypot(p.x - x, p.y - y);
        if (d < least) { least = d; best = { x: p.x, y: p.y, text: lineText(parts, l, p) }; }
      }
    });
    return best;
  }
  document.querySelectorAll("svg.plot").forEach(function (svg) {
    if (!svg.dataset.x) return;
    var parts = null, at = -1, row = 0, dot = null;
    function show(found) {
      if (!found) { hide(); return; }
      if (!dot) {
        dot = document.createElementNS(svg.namespaceURI, "circle");
        dot.setAttribute("class", "dot");
        dot.setAttribute("r", "5");
      }
      svg.append(dot);
      dot.setAttribute("cx", found.x);
      dot.setAttribute("cy", found.y);
      tip.textContent = found.text;
      tip.hidden = false;
      var box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal, k = box.width / view.width;
      var left = box.left + found.x * k, top = box.top + found.y * k;
      tip.style.left = Math.max(8, Math.min(left + 12, innerWidth - tip.offsetWidth - 8)) + scrollX + "px";
      tip.style.top = (top - tip.offsetHeight - 10 > 0 ? top - tip.offsetHeight - 10 : top + 14) + scrollY + "px";
    }
    function hide() {
      tip.hidden = true;
      if (dot) dot.remove();
    }
    function point(e) {
      parts = parts || partsOf(svg);
      var box = svg.getBoundingClientRect(), k = svg.viewBox.baseVal.width / box.width;
      show(nearest(parts, (e.clientX - box.left) * k, (e.clientY - box.top) * k));
    }
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("blur", hide);
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("keydown", function (e) {
      var step = { ArrowRight: 1, ArrowLeft: -1 }[e.key], other = { ArrowDown: 1, ArrowUp: -1 }[e.key];
      if (e.key === "Escape") { hide(); at = -1; return; }
      if (!step && !other) return;
      parts = parts || partsOf(svg);
      var rows = parts.lines.map(function (l) { return l.points.map(function (p) { return { x: p.x, y: p.y, text: lineText(parts, l, p) }; }); });
      if (parts.marks.length > 0) rows.unshift(parts.marks);
      if (rows.length === 0) return;
      e.preventDefault();
      if (other) { row = (row + other + rows.length) % rows.length; at = Math.max(0, Math.min(at, rows[row].length - 1)); }
      if (step) at = Math.max(0, Math.min(at + step, rows[row].length - 1));
      show(rows[row][at]);
      said.textContent = rows[row][at].text;
    });
  });

  // Pictures larger, one after the other.
  var pictures = Array.from(document.querySelectorAll(".pictures img"));
  if (pictures.length > 0) {
    var box = document.createElement("dialog"), image = document.createElement("img"), caption = document.createElement("p"), now = 0;
    box.className = "large";
    box.setAttribute("aria-label", "Picture");
    var buttons = document.createElement("div");
    function button(text, label, act) {
      var b = document.createElement("button");
      b.type = "button";
      b.textContent = text;
      b.setAttribute("aria-label", label);
      b.addEventListener("click", act);
      buttons.append(b);
    }
    function look(i) {
      now = (i + pictures.length) % pictures.length;
      image.src = pictures[now].src;
      image.alt = pictures[now].alt;
      image.width = pictures[now].width;
      var lines = pictures[now].closest("figure").querySelector("figcaption");
      caption.textContent = (lines ? lines.innerText.replace(/\n/g, ", ") + " " : "") + "(" + (now + 1) + " of " + pictures.length + ")";
    }
    button("\u2190", "Previous picture", function () { look(now - 1); });
    button("\u2192", "Next picture", function () { look(now + 1); });
    button("\u2715", "Close", function () { box.close(); });
    box.append(buttons, image, caption);
    document.body.append(box);
    box.addEventListener("keydown", function (e) {
      if (e.key === "ArrowLeft") look(now - 1);
      if (e.key === "ArrowRight") look(now + 1);
    });
    box.addEventListener("click", function (e) { if (e.target === box) box.close(); });
    box.addEventListener("close", function () { pictures[now].focus(); });
    pictures.forEach(function (img, i) {
      img.setAttribute("tabindex", "0");
      img.setAttribute("role", "button");
      img.setAttribute("aria-label", "Enlarge: " + img.alt);
      function open() { look(i); box.showModal(); }
      img.addEventListener("click", open);
      img.addEventListener("keydown", function (e) {
        if (e.key === "Enter" || e.key === " ") { e.preventDefault(); open(); }
      });
    });
  }

  // The prevalence.
  document.querySelectorAll(".yield").forEach(function (y) {
    var slider = y.querySelector("input"), out = y.querySelector("output");
    var yes = y.dataset.yes.split(" ").map(Number), no = y.dataset.no.split(" ").map(Number);
    var sensitivity = +y.dataset.sensitivity, specificity = +y.dataset.specificity;
    function after(p, ratio) { return ratio === Infinity ? 1 : p * ratio / (p * ratio + 1 - p); }
    function percent(v) {
      if (v > 0.999) { if (v !== 1) return "> 99.9 %"; }
      var near = v > 0 ? (v < 0.01 ? true : v > 0.99 ? v !== 1 : false) : false;
      return (100 * v).toFixed(near ? 1 : 0) + "\u00a0%";
    }
    function count(v) { v = 1000 * v; return v < 9.95 ? String(+v.toPrecision(2)) : v.toFixed(0); }
    function between(value, low, high) {
      return isNaN(value) ? "\u2013" : percent(value) + (isNaN(low) ? "" : " (" + percent(low) + " to " + percent(high) + ")");
    }
    function move() {
      var odds = Math.exp(+slider.value), p = odds / (1 + odds);
      var lines = [
        "Prevalence " + +(100 * p).toPrecision(3) + "\u00a0%: of 1000 images " + count(p) + " have it.",
        count(p * sensitivity) + " are found, " + count(p * (1 - sensitivity)) + " missed; " + count((1 - p) * (1 - specificity)) + " are called so by mistake.",
        "Of those called so " + between(after(p, yes[0]), after(p, yes[1]), after(p, yes[2])) + " have it; of the others " +
          between(1 - after(p, no[0]), 1 - after(p, no[2]), 1 - after(p, no[1])) + " do not."
      ];
      out.replaceChildren();
      lines.forEach(function (text) { var s = document.createElement("span"); s.textContent = text; out.append(s); });
      slider.setAttribute("aria-valuetext", lines[0]);
    }
    slider.addEventListener("input", move);
    move();
    y.hidden = false;
  });
})();
