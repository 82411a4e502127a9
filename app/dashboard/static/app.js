// Makes the page live. Whatever it shows the server could show too: without this file the page
// reloads itself every few seconds. `shown.py` says how a job reads; keep the two alike.

const byId = (id) => document.getElementById(id);
const line = byId("line");
const versions = new Map(); // by job: the newest version that was shown
let source, soon, chosen;

const grouped = (number) => Math.round(number).toLocaleString("en-US");

function duration(seconds) {
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.floor(seconds)} s`;
}

function ago(moment) {
  const seconds = (Date.now() - Date.parse(moment)) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
}

function state(job) {
  if (job.status === "running") return job.cancel_requested ? "stopping" : job.stage || "running";
  return job.status === "queued" && job.scheduled_at ? "scheduled" : job.status;
}

function items(job) {
  const done = job.processed_items + job.failed_items;
  const total = job.total_items;
  const counted = total !== null ? `${grouped(done)} of ${grouped(total)}` : done ? grouped(done) : "";
  return job.failed_items ? `${counted}, ${grouped(job.failed_items)} failed` : counted;
}

function pace(job) {
  const parts = [];
  const rate = job.items_per_second;
  if (rate !== null) parts.push(rate >= 10 ? `${grouped(rate)}/s` : `${rate.toFixed(1)}/s`);
  if (job.eta_seconds !== null) parts.push(`${duration(job.eta_seconds)} left`);
  return parts.join(" · ");
}

const shown = {
  percent: (job) => `${job.progress_percent} %`,
  items,
  pace,
  pill: state,
  attempt: (job) => `${job.attempt}/${job.max_attempts}`,
  error: (job) => job.error_message ?? "",
  message: (job) => job.message ?? "",
};

/** Show `job` in every place of the page that shows it: the row, the drawer. */
function show(job, version) {
  const places = document.querySelectorAll(`[data-job="${CSS.escape(job.job_id)}"]`);
  for (const place of places) {
    if (Number(place.dataset.version) > version) continue;
    place.dataset.version = version;
    for (const part of place.querySelectorAll("[data-f]")) {
      const name = part.dataset.f;
      if (name === "bar") {
        part.value = job.progress_percent;
        part.className = job.status;
      } else {
        const text = shown[name](job);
        if (part.textContent !== text) part.textContent = text;
        if (name === "pill") part.className = `pill ${job.status}`;
      }
    }
    const stage = place.dataset.stage;
    const moved = place.dataset.status !== job.status || (stage !== undefined && stage !== (job.stage ?? ""));
    if (moved || job.cancel_requested) refreshSoon();
    place.dataset.status = job.status;
    if (stage !== undefined) place.dataset.stage = job.stage ?? "";
  }
  if (!places.length) refreshSoon(); // a new one, or one that may be on this page by now
}

function refreshSoon(wait = 500) {
  soon ??= setTimeout(() => { soon = undefined; refresh(); }, wait);
}

const PARTS = ["said", "queues", "tabs", "list", "drawer"];

/** Put what the server renders for an address in place of what is on the page. */
async function load(address, options = {}) {
  const answer = await fetch(address, { ...options, headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!page.getElementById("list")) return location.assign("/"); // the session is over
  const focused = document.activeElement?.closest("[data-job], a, button")?.outerHTML;
  const scrolled = document.querySelector(".drawer")?.scrollTop;
  for (const id of PARTS) {
    const [here, there] = [byId(id), page.getElementById(id)];
    if (here.innerHTML !== there.innerHTML) here.replaceWith(document.adoptNode(there));
  }
  for (const place of document.querySelectorAll("[data-version]")) // never back to an older state
    if ((versions.get(place.dataset.job)?.version ?? 0) > Number(place.dataset.version)) {
      const { job, version } = versions.get(place.dataset.job);
      show(job, version);
    }
  const drawer = document.querySelector(".drawer");
  if (drawer && scrolled) drawer.scrollTop = scrolled;
  if (focused && document.activeElement === document.body)
    [...document.querySelectorAll("a, button")].find((each) => each.outerHTML === focused)?.focus();
  mark();
  return answer;
}

async function refresh() {
  if (document.hidden) return;
  await load(location.href).catch(() => refreshSoon(3000));
}

async function go(address, focus) {
  const answer = await load(address);
  if (!answer) return;
  history.pushState(null, "", address);
  if (focus) byId("drawer-title")?.focus();
}

function say(what, text) {
  line.hidden = false;
  line.className = `line ${what}`;
  line.textContent = text;
}

function listen() {
  source?.close();
  source = new EventSource("/jobs/stream");
  source.onopen = () => { say("live", "live"); refresh(); };
  source.onerror = () => {
    say("", "reconnecting");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => document.hidden || listen(), 2000);
  };
  source.addEventListener("gap", () => refreshSoon());
  source.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    const version = Number(event.lastEventId);
    if ((versions.get(job.job_id)?.version ?? 0) >= version) return;
    versions.delete(job.job_id);
    versions.set(job.job_id, { job, version });
    if (versions.size > 1000) versions.delete(versions.keys().next().value);
    show(job, version);
  });
}

function mark() {
  for (const row of document.querySelectorAll(".jobs tr.open")) row.classList.remove("open");
  const open = document.querySelector(".drawer")?.dataset.job;
  if (open) document.querySelector(`.jobs tr[data-job="${CSS.escape(open)}"]`)?.classList.add("open");
}

function choose(step) {
  const links = [...document.querySelectorAll(".jobs .name a")];
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at + step))]?.focus();
}

document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const row = event.target.closest(".jobs tbody tr");
  const link = event.target.closest("a") ?? row?.querySelector(".name a");
  if (!link || !link.closest("#list, #tabs, #drawer") || link.pathname !== "/" || getSelection().toString()) return;
  event.preventDefault();
  go(link.href, link.search.includes("job="));
});

document.addEventListener("submit", (event) => {
  if (!event.target.closest(".acts")) return;
  event.preventDefault();
  event.submitter.disabled = true;
  load(event.target.action, { method: "POST" }).catch(() => refreshSoon());
});

byId("kind").addEventListener("change", (event) => event.target.form.requestSubmit());

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
  if (event.key === "j") choose(1);
  else if (event.key === "k") choose(-1);
  else if (event.key === "/") location.assign("/dashboard/search");
  else if (event.key === "Escape") {
    const open = document.querySelector(".drawer")?.dataset.job;
    byId("close")?.click();
    if (open) document.querySelector(`.jobs tr[data-job="${CSS.escape(open)}"] a`)?.focus();
  } else return;
  event.preventDefault();
});

addEventListener("popstate", () => load(location.href));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return listen();
  source?.close();
  say("paused", "paused");
});
setInterval(() => {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("#list time")) each.textContent = ago(each.dateTime);
}, 1000);
setInterval(() => refreshSoon(0), 10_000); // what no event tells: ages, workers
listen();
