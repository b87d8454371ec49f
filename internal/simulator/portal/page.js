// Shows changes without a reload. Nothing is replaced while the keyboard focus
// is inside the list. Without this file the page works, and is reloaded by hand.
setInterval(async () => {
  const live = document.getElementById("live");
  if (!live || document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href);
    if (!answer.ok) return;
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (next && !live.contains(document.activeElement)) live.replaceChildren(...next.childNodes);
  } catch { /* The server is restarting; the next round tries again. */ }
}, 1000);
