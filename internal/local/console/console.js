// Refreshes what is marked data-live from the same page, every two seconds while
// it is visible, and leaves it alone while somebody works inside it.
setInterval(async () => {
  const old = document.querySelector("[data-live]");
  if (!old || document.hidden || old.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("[data-live]");
    if (fresh && fresh.innerHTML !== old.innerHTML) old.replaceChildren(...fresh.childNodes);
  } catch { /* The server is gone for a moment; the next turn asks again. */ }
}, 2000);
