// Refreshes what is marked data-live from the same page, every two seconds while
// it is visible, and leaves it alone while somebody works inside it or reads a
// step. A graph that is wider than the page begins with its middle, the usual way.
(() => {
  const live = document.getElementById("live");
  const centre = () => document.querySelectorAll("[data-centre]").forEach((e) => { e.scrollLeft = (e.scrollWidth - e.clientWidth) / 2; });
  const say = (text, state) => { if (live) { live.textContent = text; live.className = "now " + state; } };
  centre();
  // A state of the graph opens its step.
  const open = () => { const step = location.hash && document.getElementById(location.hash.slice(1)); if (step instanceof HTMLDetailsElement) step.open = true; };
  addEventListener("hashchange", open);
  if (location.hash.startsWith("#step-")) open();
  if (!live) return;
  say("live", "on");
  setInterval(async () => {
    const old = document.querySelector("[data-live]");
    if (!old || document.hidden || old.contains(document.activeElement) || old.querySelector("details[open]")) return;
    try {
      const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
      if (fresh && fresh.innerHTML !== old.innerHTML) { old.replaceChildren(...fresh.childNodes); centre(); }
      say("live", "on");
    } catch { say("not live: the server does not answer", "off"); } // the next turn asks again
  }, 2000);
})();
