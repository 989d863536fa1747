"use strict";
// Posts the code that stands behind the # of the link, which the browser sends to nobody.
(() => {
  const form = document.getElementById("login");
  // With fetch a browser says where the request comes from, which it does not for a form under Referrer-Policy: no-referrer
  // where it sends no Sec-Fetch-Site.
  async function post() {
    const answer = await fetch("/login", {method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "manual"});
    if (answer.type === "opaqueredirect") {
      location.replace("/");
      return;
    }
    const why = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("why");
    document.getElementById("notice").textContent = why ? why.textContent : "The login failed.";
    form.reset();
  }
  function logIn() {
    post().catch(() => { document.getElementById("notice").textContent = "The coordinator does not answer."; });
  }
  function fromLink() {
    const code = location.hash.slice(1);
    if (code === "") return;
    history.replaceState(null, "", "/login");
    form.elements.code.value = code;
    logIn();
  }
  form.addEventListener("submit", (event) => { event.preventDefault(); logIn(); });
  addEventListener("hashchange", fromLink);
  fromLink();
})();
