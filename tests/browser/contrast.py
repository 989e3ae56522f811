"""How well text can be read, asked of the browser."""

# For each element with text of its own: the contrast of that text (WCAG 2.2, 1.4.3) to what lies behind it.
CONTRASTS = """
(() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const rgba = colour => {
    const [r, g, b, a = 1] = numbers(colour.replace("srgb", ""));
    return colour.startsWith("color(") ? [255 * r, 255 * g, 255 * b, a] : [r, g, b, a];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const found = [];
  for (const each of document.querySelectorAll("main *")) {
    const own = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
    if (!own || each.closest("style, script, title")) continue;
    let behind = each;
    while (rgba(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const style = getComputedStyle(each);
    const colour = each instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(rgba(colour)), light(rgba(getComputedStyle(behind).backgroundColor))];
    const name = `${each.tagName}.${each.getAttribute("class")} ${each.textContent.slice(0, 30)}`;
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), name]);
  }
  return found;
})()
"""
