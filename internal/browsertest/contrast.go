package browsertest

// Contrast is a script that lists the texts of a page whose contrast with their
// background is below 4.5 to 1 (WCAG 2.2, 1.4.3), each with its ratio: of HTML the
// nearest background, of a drawing the box that the text is written on.
const Contrast = `(() => {
  const lum = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const rgba = (s) => { const m = s.match(/[\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
  const style = (e) => getComputedStyle(e);
  const ground = (e) => {
    let p = e, back = [0, 0, 0, 0];
    while (p && (back = rgba(style(p).backgroundColor))[3] < 1) p = p.parentElement;
    return p ? back : rgba(style(document.documentElement).backgroundColor);
  };
  const out = new Set();
  const judge = (e, ink, paper) => {
    const a = lum(rgba(ink).slice(0, 3)), b = lum(paper.slice(0, 3));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) out.add(e.tagName + "." + (e.className.baseVal ?? e.className) + " " + ratio.toFixed(2));
  };
  const says = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) && e.checkVisibility();
  for (const e of document.querySelectorAll("body *")) {
    if (!says(e) || e.closest(".hide,.tone,.skip,svg,noscript,option,:disabled")) continue;
    judge(e, style(e).color, ground(e));
  }
  for (const e of document.querySelectorAll("svg text, svg tspan")) {
    const box = e.closest("g")?.querySelector("rect"), fill = box && style(box).fill;
    if (says(e)) judge(e, style(e).fill, fill && fill !== "none" ? rgba(fill) : ground(e.closest("svg")));
  }
  for (const e of document.querySelectorAll("input[placeholder]:placeholder-shown")) {
    judge(e, getComputedStyle(e, "::placeholder").color, ground(e));
  }
  return [...out];
})()`
