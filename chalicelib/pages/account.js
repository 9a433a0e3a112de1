// Requests the reset of a password, sets the new password, and confirms an email address.
"use strict";

(() => {
  const API = new URL("../v1/auth/", document.currentScript.src);
  const TIMEOUT_MS = 30000; // API Gateway waits 29 seconds for a response
  const all = (selector) => [...document.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const [statusText] = all("[role=status]");
  const [alertText] = all("[role=alert]");
  let token = ""; // only here: neither in the address bar nor in any storage

  function show(name) {
    for (const view of all("[data-view]")) view.hidden = view.dataset.view !== name;
    for (const input of all("[required]")) reportField(input, "");
    alertText.textContent = "";
    const [heading] = all("section:not([hidden]) h1");
    document.title = `${heading.textContent} – EduFlow`;
    heading.focus();
  }

  function showFragment() {
    const [, name, value] = /^#(reset|verify)=(\w*)/.exec(location.hash) ?? [];
    token = value;
    if (name) history.replaceState(null, "", location.pathname + location.search);
    show(name ?? "forgot");
  }

  function setPasswordVisible(isVisible) {
    byId("show-password").checked = isVisible;
    byId("password").type = isVisible ? "text" : "password";
  }

  function reportField(input, message) {
    byId(`${input.id}-error`).textContent = message;
    if (!message) return input.removeAttribute("aria-invalid");
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }

  // Returns null if there is no response.
  function post(path, body) {
    return fetch(new URL(path, API), {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify(body),
      signal: AbortSignal.timeout?.(TIMEOUT_MS),
    }).catch(() => null);
  }

  function duration(seconds) {
    const [count, unit] = seconds > 90 ? [Math.ceil(seconds / 60), "minute"] : [seconds, "second"];
    return `${count} ${unit}${count === 1 ? "" : "s"}`;
  }

  async function reportProblem(form, input, response) {
    const problem = (await response?.json().catch(() => null)) ?? {};
    const errors = problem.errors ?? [];
    if (errors.some((error) => error.field === "token")) return show(`${form.name}-invalid`);
    if (input && errors.length) return reportField(input, errors.map((error) => error.message).join(" "));
    if (!response) {
      alertText.textContent = "There was no response. Check your internet connection and try again.";
    } else if (response.status === 429) {
      const wait = duration(Number(response.headers.get("Retry-After")) || 60);
      alertText.textContent = `Too many attempts. Try again in ${wait}.`;
    } else {
      alertText.textContent = "Something went wrong on our side. Try again in a few minutes.";
    }
    if (!form.contains(document.activeElement)) form.querySelector("button").focus();
  }

  function setSending(form, isSending) {
    form.setAttribute("aria-busy", isSending);
    form.querySelector("button").disabled = isSending;
    statusText.textContent = isSending ? "Sending…" : "";
  }

  function onSubmit(name, path, input, body, done) {
    const form = document.forms[name];
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      alertText.textContent = "";
      if (input) reportField(input, input.value.trim() ? "" : input.dataset.missing);
      if (form.getAttribute("aria-busy") === "true" || input?.hasAttribute("aria-invalid")) return;
      setPasswordVisible(false); // browsers must not store the password as text
      const sent = body();
      const sentToken = token;
      setSending(form, true);
      const response = await post(path, sent);
      setSending(form, false);
      if (token !== sentToken || form.closest("[hidden]")) return; // another link was opened meanwhile
      if (!response?.ok) return reportProblem(form, input, response);
      done(sent);
      token = "";
    });
  }

  onSubmit("forgot", "password/forgot/", byId("username"), () => ({username: byId("username").value.trim()}), (sent) => {
    byId("sent-to").textContent = sent.username;
    show("sent");
  });
  onSubmit("reset", "password/reset/", byId("password"), () => ({token, password: byId("password").value}), () => {
    byId("password").value = "";
    show("reset-done");
  });
  onSubmit("verify", "email/verify/", null, () => ({token}), () => show("verify-done"));
  byId("show-password").addEventListener("change", (event) => setPasswordVisible(event.target.checked));
  for (const button of all("[data-show]")) button.addEventListener("click", () => show(button.dataset.show));
  addEventListener("hashchange", showFragment);
  showFragment();
})();
