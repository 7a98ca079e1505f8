// Keeps the page fresh, and sends what its buttons ask for. The token that
// changing calls need comes with the address (#token=…), and stays in this tab.
"use strict";

const fragment = new URLSearchParams(location.hash.slice(1));
if (fragment.has("token")) {
  sessionStorage.setItem("token", fragment.get("token"));
  history.replaceState(null, "", location.pathname);
}

const link = document.getElementById("link");

async function refresh() {
  try {
    const answer = await fetch("/", { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const live = document.getElementById("live");
    const next = fresh.getElementById("live");
    // Redrawing takes the focus and open details away: do it only for news.
    if (next && live.innerHTML !== next.innerHTML && !live.contains(document.activeElement) && !live.querySelector("details[open]")) {
      live.innerHTML = next.innerHTML;
    }
    document.title = fresh.title;
    link.textContent = fresh.getElementById("link").textContent;
  } catch (err) {
    link.textContent = `no answer from minikeeper (${err.message}); this page is old`;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-post]");
  if (!button) return;
  let token = sessionStorage.getItem("token");
  if (!token) {
    token = window.prompt("Token of this minikeeper (the file “token” in its data_dir):");
    if (!token) return;
    sessionStorage.setItem("token", token.trim());
  }
  button.disabled = true;
  const headers = { Authorization: `Bearer ${sessionStorage.getItem("token")}`, "Content-Type": "application/json" };
  try {
    const answer = await fetch(button.dataset.post, { method: "POST", headers, body: button.dataset.body || "{}" });
    if (answer.status === 401 || answer.status === 403) sessionStorage.removeItem("token");
    link.textContent = answer.ok ? `${button.textContent}: done` : `${button.textContent}: ${(await answer.text()).trim()}`;
  } catch (err) {
    link.textContent = `${button.textContent}: ${err.message}`;
  }
  button.disabled = false;
  button.blur();
  setTimeout(refresh, 500);
});

setInterval(refresh, 2000);
