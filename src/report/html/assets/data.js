// The data of the page: unpacked once. Nothing is fetched.
const S = (window.slatest = {});

S.load = async function () {
  const block = document.getElementById("slatest-data");
  const bytes = Uint8Array.from(atob(block.textContent.trim()), (c) => c.charCodeAt(0));
  const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(plain).text());
  if (data.version !== 1) throw new Error("the data of this page are of version " + data.version);
  return data;
};

// Texts of values, as the tables write them.
S.text = {
  ms(value) {
    if (value == null) return "–";
    const [scaled, unit] = value >= 60000 ? [value / 60000, "min"] : value >= 1000 ? [value / 1000, "s"] : value >= 1 ? [value, "ms"] : [value * 1000, "µs"];
    return S.text.number(scaled) + " " + unit;
  },
  number(value) {
    if (value == null) return "–";
    if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
    return String(+value.toPrecision(3));
  },
  share: (value) => (value == null ? "–" : S.text.number(value) + " %"),
  rate: (value) => (value == null ? "–" : S.text.number(value) + "/s"),
  at(secs) {
    const s = Math.abs(secs), pad = (n) => String(n).padStart(2, "0");
    const whole = Math.floor(s), rest = s - whole;
    const tail = rest > 0.04 ? rest.toFixed(1).slice(1) : "";
    const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
    return (hours ? hours + ":" + pad(minutes) : minutes) + ":" + pad(whole % 60) + tail;
  },
};

S.css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

S.element = function (tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key in element && key !== "list") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};

S.say = (text) => { document.getElementById("live").textContent = text; };
