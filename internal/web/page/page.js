"use strict";
// Brings the live part up to date every 5 seconds, but not while nobody looks or somebody is at work in it. Where an answer
// takes long the pauses are longer: pages that are left open do not keep the coordinator busy.
(() => {
  const every = 5000;
  const notice = document.getElementById("notice");
  const live = () => document.getElementById("live");
  function busy() {
    return document.hidden || live().contains(document.activeElement) || !document.getSelection().isCollapsed;
  }
  async function refresh() {
    const answer = await fetch(location.href, {headers: {"Muster-Refresh": "1"}, redirect: "manual", signal: AbortSignal.timeout(15000)});
    if (answer.type === "opaqueredirect") {
      location.assign("/login");
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
    if (fresh && !busy()) live().replaceWith(document.adoptNode(fresh));
    notice.textContent = "";
  }
  async function turn() {
    const asked = performance.now();
    try {
      if (!busy()) await refresh();
    } catch {
      notice.textContent = "Not up to date: the coordinator does not answer. Trying again.";
    }
    setTimeout(turn, Math.max(every, 10 * (performance.now() - asked)));
  }
  if (live()) setTimeout(turn, every);
  // See login.js for why this is no plain form.
  document.querySelector("form[action='/logout']").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await fetch("/logout", {method: "POST", redirect: "manual"});
      location.assign("/login");
    } catch {
      notice.textContent = "Not logged out: the coordinator does not answer.";
    }
  });
})();
