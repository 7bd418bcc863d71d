// what a reader would stumble over on the page that is open; each gives a line per fault
const checks = (() => {
  const name = (one) => {
    const kind = one.getAttribute("class")?.trim().replace(/\s+/g, ".");
    const section = one.closest("section[id]")?.id;
    const text = one.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
    return one.localName + (one.id ? `#${one.id}` : "") + (kind ? `.${kind}` : "") + (section ? ` in #${section}` : "") + ` "${text}"`;
  };
  const all = (selector) => [...document.body.querySelectorAll(selector)];
  const isScrolled = (one) => {
    while ((one = one.parentElement) && one !== document.body) if (getComputedStyle(one).overflowX !== "visible") return true;
    return false;
  };
  return {
    too_wide() {
      const width = document.documentElement.clientWidth, whole = document.documentElement.scrollWidth;
      if (whole <= width) return [];
      const found = all("*").filter((one) => one.getBoundingClientRect().right > width + 1 && !isScrolled(one));
      return [`the body scrolls to ${whole} of ${width} px: ${found.slice(0, 3).map(name).join("; ")}`];
    },
    cut_off() {
      const width = document.documentElement.clientWidth;
      return all("*").flatMap((one) => {
        const box = one.getBoundingClientRect(), style = getComputedStyle(one);
        if (!one.checkVisibility() || !box.width || !box.height || one.closest("svg") && one.localName !== "svg") return [];
        if (box.right > width + 1 || box.left < -1) return [`${name(one)} reaches from ${box.left} to ${box.right} of ${width} px`];
        if (style.overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1)
          return [`${name(one)} shows ${one.clientWidth} of ${one.scrollWidth} px`];
        if (style.overflowY !== "visible" && one.scrollHeight > one.clientHeight + 1)
          return [`${name(one)} shows ${one.clientHeight} of ${one.scrollHeight} px in height`];
        return [];
      });
    },
    not_shown(allowed) {
      const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let text; (text = texts.nextNode()); ) {
        const one = text.parentElement;
        if (!text.data.trim() || one.closest("script, style, template, title, desc, nav, button") || one.closest(allowed)) continue;
        if (!one.checkVisibility({ visibilityProperty: true, opacityProperty: true })) found.push(name(one));
      }
      return found;
    },
    without_alternative() {
      const said = (one) => one.getAttribute("aria-label") || one.getAttribute("alt")
        || document.getElementById(one.getAttribute("aria-labelledby") ?? "")?.textContent
        || one.querySelector(":scope > title")?.textContent;
      return all("img, svg, canvas, [role=img]").filter((one) => !one.closest("[aria-hidden=true]") && !said(one)?.trim()).map(name);
    },
    distorted() {
      return all("img").filter((one) => one.checkVisibility() && one.naturalWidth).flatMap((one) => {
        const box = one.getBoundingClientRect(), times = box.width / box.height / (one.naturalWidth / one.naturalHeight);
        return Math.abs(times - 1) < 0.03 ? [] : [`"${one.alt}" is ${times} times as wide as it should be`];
      });
    },
    letters() {
      return all("svg text").filter((text) => text.checkVisibility() && text.textContent.trim()).map((text) => {
        const box = text.getBoundingClientRect();
        return { text: text.textContent.trim(), box: [box.left + scrollX, box.top + scrollY, box.right + scrollX, box.bottom + scrollY] };
      });
    },
    illegible(least) {
      const said = (text) => `"${text.textContent.trim().slice(0, 30)}"`;
      return all("svg").filter((svg) => svg.checkVisibility()).flatMap((svg) => {
        const frame = svg.getBoundingClientRect(), found = [], boxes = [];
        for (const text of svg.querySelectorAll("text")) {
          if (!text.textContent.trim()) continue;
          const box = text.getBoundingClientRect(), matrix = text.getScreenCTM();
          const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(matrix.a, matrix.b);
          if (size < least) found.push(`${said(text)} is ${size} px high`);
          if (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2 || box.bottom > frame.bottom + 2)
            found.push(`${said(text)} leaves the chart`);
          for (const [other, one] of boxes) {
            const width = Math.min(box.right, one.right) - Math.max(box.left, one.left);
            const height = Math.min(box.bottom, one.bottom) - Math.max(box.top, one.top);
            if (width > 2 && height > Math.min(box.height, one.height) / 3) found.push(`${said(text)} lies over ${said(other)}`);
          }
          boxes.push([text, box]);
        }
        return found.map((fault) => `${fault} in "${svg.getAttribute("aria-label")?.slice(0, 30)}"`);
      });
    },
  };
})();
