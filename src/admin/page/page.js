// The page of one bridge. It asks /api/ every two seconds and shows what it is told.
//
// Everything that comes from events is text and never markup: nodes are made by `make`, which knows
// no other way to fill them.
"use strict";

const POLL_MILLIS = 2000;
const ANSWER_WITHIN_MILLIS = 8000;
// So many looks in a row must find something missing before the page says so: a number that is
// read while it changes is early at the beginning and late at the end.
const LOOKS_UNTIL_MISSING = 5;
const KEY = "vodbridge-token";

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");

let token = sessionStorage.getItem(KEY) || "";
let state = null;
let before = null;
let missing = [];
let query = "";
let listed = null;
let open = null;

// === asking ===

async function ask(path, method = "GET") {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const signal = AbortSignal.timeout(method === "GET" ? ANSWER_WITHIN_MILLIS : 60000);
  const options = { method, headers, signal, cache: "no-store", credentials: "omit" };
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (response.status === 401 && token) {
    forget();
    says($("token-error"), body.error);
    showToken();
  }
  if (!response.ok) throw Object.assign(new Error(body.error || `status ${response.status}`), { told: true });
  return body;
}

async function look() {
  try {
    const now = await ask("api/state");
    before = state;
    state = now;
    says($("banner"), "");
    show();
    // Rows are read from the disk: only when there may be others.
    const { journal: { shares }, conservation: { settled } } = state;
    const stamp = JSON.stringify([shares, settled, query, state.started]);
    if (stamp === listed) return;
    const [events, letters] = await Promise.all([
      ask(`api/events?limit=50${query}`), ask("api/dead-letters?limit=50"),
    ]);
    list("events", events.rows);
    list("letters", letters.rows);
    listed = stamp;
  } catch (error) {
    const told = error.told ? `: ${error.message}` : "";
    says($("banner"), `The bridge does not answer${told}. What stands here is from earlier.`);
    tone($("status"), "bad", "No answer");
    missing = [];
  }
}

async function watch() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((wake) => {
      const timer = setTimeout(wake, POLL_MILLIS);
      document.addEventListener("visibilitychange", () => { clearTimeout(timer); wake(); }, { once: true });
    });
  }
}

// === making ===

function make(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key === "text") node.textContent = value;
    else if (key === "click") node.addEventListener("click", value);
    else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function says(node, text) {
  if (node.textContent !== (text || "")) node.textContent = text || "";
  node.hidden = !text;
}

function fill(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tone(node, tone, text) {
  if (node.dataset.tone !== tone) node.dataset.tone = tone;
  if (text !== undefined) fill(node, text);
}

// Made anew only when it differs, so that nobody loses a selection to a number that stayed.
function renew(node, of, children) {
  const seen = JSON.stringify(of);
  if (node.dataset.seen === seen) return;
  node.dataset.seen = seen;
  node.replaceChildren(...children());
}

// === the state ===

const STATUS = {
  ready: ["good", "Ready"], degraded: ["warn", "Degraded"],
  unready: ["bad", "Not ready"], draining: ["warn", "Stopping"],
};

function show() {
  tone($("status"), ...(STATUS[state.status] || ["idle", state.status]));
  fill($("access"), { closed: "Read only", open: "Enter token", granted: "Token in use" }[state.access]);
  fill($("version"), `vodbridge ${state.version}, running since ${clock(state.started)}`);
  conservation(state.conservation);
  rates();
  const isDown = (of) => of.up !== null && !of.is_up;
  const connectors = [...state.connectors].sort((a, b) => isDown(b) - isDown(a));
  renew($("connectors"), [connectors, before && before.connectors], () => connectors.map(connector));
  renew($("applications"), state.applications, () => state.applications.map(application));
  renew($("routes"), state.routes, () => state.routes.map(route));
  renew($("journal"), state.journal, () => journal(state.journal));
  const { to, topic, is_here: isHere } = state.dead_letter;
  fill($("letters-where"), isHere ? "Kept in the journal."
    : `They go to ${topic} at ${to}; here are those that it refused.`);
  const letters = state.journal.shares.find((share) => share.name === "dead_letters").rows;
  says($("letters-count"), letters ? number.format(letters) : "");
}

function conservation(sum) {
  missing.push(sum.missing);
  missing = missing.slice(-LOOKS_UNTIL_MISSING);
  const least = Math.min(...missing);
  const hero = $("hero");
  if (least === 0) {
    tone(hero, "good");
    fill($("conserved"), "Nothing is missing.");
  } else if (missing.length < LOOKS_UNTIL_MISSING) {
    tone(hero, "idle");
    fill($("conserved"), "Counting");
  } else {
    tone(hero, "bad");
    fill($("conserved"), `${events(least)} cannot be accounted for.`);
  }
  const { delivered, rejected, duplicate, dropped, deferred } = sum.outcomes;
  const parts = [
    `${number.format(delivered)} delivered`,
    rejected ? `${number.format(rejected)} in the dead letters` : "",
    duplicate ? `${number.format(duplicate)} recognized as duplicates` : "",
    dropped ? `${number.format(dropped)} dropped by a route` : "",
    deferred ? `${number.format(deferred)} given back to VOD` : "",
  ];
  const kept = sum.waiting ? ` ${events(sum.waiting)} ${sum.waiting === 1 ? "is" : "are"} kept here until a connector takes ${sum.waiting === 1 ? "it" : "them"}.` : "";
  fill($("story"), `Every event that came in is settled, on its way or kept. Settled: ${parts.filter(Boolean).join(", ")}.${kept}`);
  for (const name of ["received", "recovered", "settled", "in_flight", "waiting"]) {
    fill($(`n-${name.replace("_", "-")}`), number.format(sum[name]));
  }
}

function rates() {
  const published = (of) => of.connectors.reduce((sum, c) => sum + c.published.acknowledged, 0);
  fill($("r-received"), rate((of) => of.conservation.received));
  fill($("r-settled"), rate((of) => of.conservation.settled));
  fill($("r-published"), rate(published));
  const ages = state.applications.map((a) => a.oldest_unsettled_seconds || 0);
  fill($("oldest"), lasts(Math.max(0, ...ages)));
}

// How many more there are each second, from this look and the one before.
function rate(count) {
  if (!before || before.started !== state.started) return "–";
  const seconds = (state.now_millis - before.now_millis) / 1000;
  if (seconds <= 0) return "–";
  const rate = Math.max(0, (count(state) - count(before)) / seconds);
  return number.format(rate < 10 ? Math.round(rate * 10) / 10 : Math.round(rate));
}

const FAULTS = [
  ["process", "a crash of the broker"], ["machine", "a machine without power"],
  ["node", "the loss of a node"], ["all", "all nodes without power"],
];
const ANSWERS = { yes: ["good", "✓"], no: ["bad", "✕"], unknown: ["idle", "?"] };

function connector(of) {
  const [kind, word] = of.up === null ? ["idle", "not asked yet"]
    : of.is_up ? ["good", "up"] : ["bad", "down"];
  const { acknowledged, refused, unavailable, skipped } = of.published;
  const was = before && before.connectors.find((c) => c.name === of.name);
  const per = was ? rate((s) => (s.connectors.find((c) => c.name === of.name) || of).published.acknowledged) : "–";
  const counts = [
    `${number.format(acknowledged)} acknowledged (${per} / s)`,
    refused ? `${number.format(refused)} refused` : "",
    unavailable ? `${number.format(unavailable)} not taken` : "",
    skipped ? `${number.format(skipped)} skipped` : "",
  ];
  const topics = (of.unavailable_topics || []).join(", ");
  const unfit = Object.entries(of.unfit_topics || {});
  const troubles = [
    of.error ? `${of.error}${of.advice ? ` (${of.advice})` : ""}` : "",
    topics ? `takes nothing for ${topics}` : "",
    ...unfit.map(([topic, why]) => `${topic}: ${why.error}${why.advice ? ` (${why.advice})` : ""}`),
  ].filter(Boolean);
  return make("li", { "data-tone": kind, "data-connector": of.name },
    make("div", { class: "row" },
      make("span", { class: "name", text: of.name }),
      make("span", { class: "soft", text: `${of.type || ""}${of.required ? "" : ", best effort"}` }),
      make("span", { class: "tag end", "data-tone": kind, text: word })),
    make("p", { class: "soft", text: counts.filter(Boolean).join(", ") }),
    ...troubles.map((text) => make("p", { class: "trouble", text })),
    of.survives ? survives(of.survives) : null);
}

function survives(answers) {
  const list = make("ul", { class: "survives" });
  for (const [fault, text] of FAULTS.filter(([fault]) => answers[fault])) {
    const { answer, provenance, remedy } = answers[fault];
    const [kind, mark] = ANSWERS[answer] || ANSWERS.unknown;
    list.append(make("li", {},
      make("span", { class: "mark", "data-tone": kind, "aria-hidden": "true", text: mark }),
      make("span", {}, text, make("span", { class: "hidden", text: `: ${answer}` })),
      make("span", { class: "by", text: provenance }),
      remedy ? make("span", { class: "remedy", text: remedy }) : null));
  }
  return make("div", {}, make("p", { class: "soft survival", text: "What it acknowledges survives" }), list);
}

function application(of) {
  const how = of.configured;
  const ways = !how ? ["no longer configured"] : [
    how.callback ? `callbacks at ${how.callback.path}${how.callback.is_authenticated ? "" : ", not authenticated"}${how.callback.is_spooled ? "" : ", not spooled"}` : "",
    how.is_pulled ? "pulled from VOD's queue" : "",
  ];
  const busy = [
    `${number.format(of.received)} received`,
    of.recovered ? `${number.format(of.recovered)} recovered` : "",
    of.in_flight ? `${number.format(of.in_flight)} in flight` : "",
    of.waiting ? `${number.format(of.waiting)} waiting` : "",
  ];
  const vod = Object.entries(of.vod || {}).map(([action, why]) =>
    `${action}: ${(why && (why.error || why.code)) || JSON.stringify(why)}`);
  return make("li", {},
    make("div", { class: "row" },
      make("span", { class: "name", text: of.name }),
      how && how.sub_app_id ? make("span", { class: "soft", text: `SubAppId ${how.sub_app_id}` }) : null,
      of.waiting ? make("span", { class: "tag end", "data-tone": "warn", text: `waiting for ${lasts(of.oldest_unsettled_seconds || 0)}` }) : null),
    make("p", { class: "soft", text: ways.filter(Boolean).join("; ") }),
    make("p", { class: "soft", text: busy.filter(Boolean).join(", ") }),
    ...vod.map((text) => make("p", { class: "trouble", text })));
}

function route(of) {
  const when = Object.entries(of.match).map(([name, patterns]) => `${name} ${patterns.join(" or ")}`);
  const to = of.drop ? "dropped: confirmed, published nowhere" : of.to.join(" and ");
  return make("li", {},
    make("div", { class: "row" },
      make("span", { class: "name", text: of.name }),
      make("span", { class: "soft", text: when.length ? when.join(", ") : "everything" })),
    make("p", {},
      make("span", { class: "arrow", text: "→ " }), to,
      of.also.length ? make("span", { class: "soft", text: `, also ${of.also.join(" and ")}` }) : null),
    of.drop ? null : make("p", { class: "soft mono", text: of.topic }));
}

const SHARES = {
  spool: "Spool: callbacks not yet settled", events: "Events of the journal connector",
  dead_letters: "Dead letters", history: "History of what was delivered",
};

function journal(of) {
  const shares = of.shares.map((share) => make("li", {},
    make("div", { class: "row" },
      make("span", { text: SHARES[share.name] || share.name }),
      make("span", { class: "soft end", text: share.rows === 1 ? "1 row" : `${number.format(share.rows)} rows` })),
    make("meter", {
      min: 0, max: share.bytes_max, value: share.bytes, high: share.bytes_max * 0.75, optimum: 0,
      "aria-label": `${SHARES[share.name] || share.name}: ${size(share.bytes)} of ${size(share.bytes_max)}`,
    }),
    make("p", { class: "soft", text: `${size(share.bytes)} of ${size(share.bytes_max)}` })));
  if (of.state !== "writable") shares.unshift(make("li", {}, make("p", { class: "trouble", text: of.state })));
  return shares;
}

// === the listings ===

function list(id, rows) {
  const body = $(`${id}-table`).tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.seq, row]));
  const isFirst = !body.dataset.was;
  body.dataset.was = "yes";
  const wanted = rows.map((of) => {
    const row = known.get(of.seq) || make("tr", { class: isFirst ? null : "new", "data-seq": of.seq }, ...cells(id, of));
    return row;
  });
  const stay = new Set(wanted);
  for (const row of known.values()) if (!stay.has(row)) row.remove();
  // What is in its place already is not touched: a button that is moved loses the focus.
  wanted.forEach((row, n) => { if (body.rows[n] !== row) body.insertBefore(row, body.rows[n] || null); });
  $(`${id}-table`).hidden = rows.length === 0;
  says($(`${id}-none`), rows.length ? "" : id === "letters" ? "No dead letters."
    : query ? "No such event in the journal." : "No event has been delivered yet.");
}

function cells(id, of) {
  const where = of.reason ? [reason(of), of.connector ? ` at ${of.connector}` : ""].join("")
    : of.acknowledged ? of.acknowledged.join(", ") : journalName();
  const name = `${of.event_type || of.type} of ${clock(of.received)}`;
  return [
    make("td", { class: "time" }, make("time", { datetime: of.received, title: of.received, text: clock(of.received) })),
    make("td", { class: "type", text: of.event_type || of.type }),
    make("td", { class: "mono", "data-label": of.file ? "file" : of.task ? "task" : null, text: of.file || of.task || "–" }),
    make("td", { "data-label": "application", text: of.application || "–" }),
    make("td", { "data-label": of.reason ? "reason" : "at" },
      of.reason ? make("span", { class: "tag", "data-tone": "bad", text: where }) : where),
    make("td", { class: "open" },
      make("button", { type: "button", "aria-label": `Open ${name}`, text: "Open", click: () => showOne(id, of.seq) })),
  ];
}

function journalName() {
  const journal = state.connectors.find((connector) => connector.type === "journal");
  return journal ? journal.name : "journal";
}

const REASONS = {
  refused: "refused", unrouted: "no route matches", topic: "no valid topic",
  topology: "topology missing for too long", panicked: "its delivery panics",
};

// The other codes say why what came in is no event.
function reason(of) {
  return REASONS[of.reason] || `no event (${of.reason.replaceAll("_", " ")})`;
}

// === one event, one letter ===

async function showOne(id, seq) {
  open = { id, seq, path: `api/${id === "letters" ? "dead-letters" : "events"}/${encodeURIComponent(seq)}` };
  try {
    const of = await ask(open.path);
    detail(of);
    if (!$("detail").open) $("detail").showModal();
  } catch (error) {
    toast(error.message);
  }
}

// The attributes that people look for, before all others.
const FIRST = ["id", "type", "subject", "time", "vodapplication", "vodfileid", "vodtaskid", "vodstatus"];

function detail(of) {
  open.of = of;
  fill($("detail-title"), of.event_type || of.type);
  const parts = of.reason ? [`${reason(of)}${of.connector ? ` at ${of.connector}` : ""}`, of.detail] : [];
  const why = [...new Set(parts.filter(Boolean))].join(": ");
  says($("detail-reason"), why && why[0].toUpperCase() + why.slice(1));
  const rank = ([name]) => (FIRST.indexOf(name) + 1) || FIRST.length + 1;
  const rows = Object.entries(of.attributes || {
    id: of.id, type: of.type, application: of.application, file: of.file, task: of.task,
    status: of.status, received: of.received,
  });
  const more = [
    ["topic", of.intended_topic || of.topic], ["route", of.route],
    ["acknowledged by", of.acknowledged && of.acknowledged.join(", ")],
    ["stored", of.stored], ["row", of.seq],
  ];
  if (of.attributes) rows.sort((a, b) => rank(a) - rank(b));
  $("detail-attributes").replaceChildren(...rows.concat(more).filter(([, value]) => value)
    .flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]));
  const payload = of.payload;
  says($("detail-payload"), payload ? (payload.is_text ? indented(payload.text) : payload.text) : "");
  const left = payload && payload.shown_bytes < payload.bytes;
  says($("detail-note"), !payload ? of.withheld || "It was not kept."
    : left ? `The first ${size(payload.shown_bytes)} of ${size(payload.bytes)}; all of it: ${payload.all}`
      : `${size(payload.bytes)}${payload.is_text ? "" : ", no text"}`);
  const way = of.replay;
  $("detail-actions").hidden = !way;
  $("detail-replay").disabled = !(way && way.possible);
  $("detail-remove").hidden = open.id !== "letters";
  says($("detail-way"), !way ? "" : !way.possible ? `It cannot be sent again: ${way.why}.`
    : way.dropped_by ? `The route ${way.dropped_by} would drop it.` : `It would go to ${way.topic} at ${way.to.join(" and ")}.`);
  $("confirm").hidden = true;
  says($("detail-error"), "");
}

function confirm(question, yes, action) {
  fill($("confirm-question"), question);
  fill($("confirm-yes"), yes);
  $("confirm-yes").disabled = false;
  $("confirm").hidden = false;
  $("detail-actions").hidden = true;
  $("confirm").action = action;
  $("confirm-no").focus();
}

function unconfirm() {
  $("confirm").hidden = true;
  $("detail-actions").hidden = false;
}

async function act(method, suffix, done) {
  $("confirm-yes").disabled = true;
  says($("detail-error"), "");
  try {
    const answer = await ask(open.path + suffix, method);
    $("detail").close();
    toast(answer.error || done);
  } catch (error) {
    says($("detail-error"), error.message);
  }
  unconfirm();
  await look();
}

function askReplay() {
  const { of } = open;
  const where = of.replay.dropped_by ? `The route ${of.replay.dropped_by} drops it.`
    : `It goes to ${of.replay.topic} at ${of.replay.to.join(" and ")}, with the attribute vodreplay.`;
  const after = open.id === "letters" ? " The letter is removed once it is acknowledged." : "";
  const done = open.id === "letters" ? "Sent again and acknowledged; the letter is removed." : "Sent again and acknowledged.";
  confirm(`Send ${of.id} again? ${where}${after}`, "Yes, send it", () => act("POST", "/replay", done));
}

function askRemove() {
  confirm(`Remove this letter of ${open.of.id} for good?`, "Yes, remove it", () => act("DELETE", "", "The dead letter is removed."));
}

// JSON with line ends and indents; numbers and texts stay as they were written, because file ids are
// larger than a number of this language can be.
function indented(text) {
  try { JSON.parse(text); } catch { return text; }
  let out = "", depth = 0, inText = false;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (inText) {
      out += c;
      if (c === "\\") out += text[at += 1];
      else if (c === '"') inText = false;
    } else if (c === '"') { inText = true; out += c; }
    else if (c === "{" || c === "[") {
      const rest = /^\s*[}\]]/.exec(text.slice(at + 1, at + 200));
      if (rest) { out += c + rest[0].trim(); at += rest[0].length; } else { depth += 1; out += c + line(); }
    } else if (c === "}" || c === "]") { depth -= 1; out += line() + c; }
    else if (c === ",") out += c + line();
    else if (c === ":") out += ": ";
    else if (!/\s/.test(c)) out += c;
  }
  return out;
}

// === the token ===

function showToken() {
  const isClosed = state && state.access === "closed";
  fill($("token-text"), isClosed
    ? "This bridge has no token, so payloads are not shown and nothing can be sent again from here. Give it one in its configuration and start it again:"
    : "With the token of this bridge you see payloads, send events and dead letters again and remove dead letters.");
  $("token-field").hidden = isClosed;
  $("token-how").hidden = !isClosed;
  $("token-use").hidden = isClosed;
  $("token-forget").hidden = !token;
  if (!$("token").open) $("token").showModal();
  if (!isClosed) $("token-input").focus();
}

function forget() {
  token = "";
  sessionStorage.removeItem(KEY);
}

async function useToken(event) {
  event.preventDefault();
  const offered = $("token-input").value.trim();
  if (!offered) return;
  says($("token-error"), "");
  token = offered;
  try {
    const now = await ask("api/state");
    if (now.access !== "granted") return;
    sessionStorage.setItem(KEY, token);
    $("token-input").value = "";
    $("token").close();
    await look();
  } catch (error) {
    forget();
    says($("token-error"), error.message);
  }
}

// === words ===

function events(count) {
  return count === 1 ? "1 event" : `${number.format(count)} events`;
}

function lasts(seconds) {
  if (seconds < 1) return seconds > 0 ? "< 1 s" : "none";
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
  return `${unit && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

// The time of day; of another day, the day as well.
function clock(text) {
  const at = new Date(text);
  if (Number.isNaN(at.getTime())) return text;
  const time = at.toLocaleTimeString("en-GB");
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
}

let toastTimer;
function toast(text) {
  fill($("toast"), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => fill($("toast"), ""), 5000);
}

// === beginning ===

$("access").addEventListener("click", () => { says($("token-error"), ""); showToken(); });
$("token-form").addEventListener("submit", useToken);
$("token-close").addEventListener("click", () => $("token").close());
$("token-forget").addEventListener("click", () => { forget(); $("token").close(); look(); });
$("detail-close").addEventListener("click", () => $("detail").close());
$("detail-replay").addEventListener("click", askReplay);
$("detail-remove").addEventListener("click", askRemove);
$("confirm-yes").addEventListener("click", () => $("confirm").action());
$("confirm-no").addEventListener("click", () => { unconfirm(); $("detail-replay").focus(); });
$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("find-text").value.trim();
  query = text ? `&${$("find-by").value}=${encodeURIComponent(text)}` : "";
  look();
});
watch();
