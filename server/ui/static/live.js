// What must be live on a page: copied texts, followed logs, watched
// workspaces, and a server that comes back. Pages work without it.
"use strict";

(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Copy buttons show only where there is a script to serve them.
  function copies(root) {
    for (const button of all("[data-copy]", root)) {
      button.hidden = false;
      button.onclick = async () => {
        const source = button.parentElement.querySelector("pre, input, code");
        const text = source.value ?? source.textContent;
        try {
          await navigator.clipboard.writeText(text);
        } catch {
          const range = document.createRange();
          if (source.select) source.select();
          else { range.selectNodeContents(source); getSelection().removeAllRanges(); getSelection().addRange(range); }
          document.execCommand("copy");
        }
        const label = button.textContent;
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = label; }, 1500);
      };
    }
  }

  // A form that is on its way is not sent twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    const button = event.submitter ?? form.querySelector("button:not([type=button])");
    button?.setAttribute("aria-busy", "true");
  });
  addEventListener("pageshow", () => {
    for (const form of all("form[data-sent]")) {
      delete form.dataset.sent;
      all("[aria-busy]", form).forEach((b) => b.removeAttribute("aria-busy"));
    }
  });

  // Menus close when one looks elsewhere, and so does what asks whether one is
  // sure. The latter's summary goes as it opens, so the place moves on.
  for (const kind of ["click", "focusin"]) {
    document.addEventListener(kind, (event) => {
      for (const menu of all("details.menu[open], details.sure[open]")) if (!menu.contains(event.target)) menu.open = false;
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of all("details.menu[open], details.sure[open]")) {
      const within = menu.contains(document.activeElement);
      menu.open = false;
      if (within || menu.matches(".menu")) menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("toggle", (event) => {
    if (!event.target.matches("details.sure[open]")) return;
    event.target.opened = event.timeStamp;
    event.target.querySelector("button").focus();
  }, true);
  // What asks comes to where one has just pressed: a second click, or a key
  // that is held, is no answer.
  document.addEventListener("click", (event) => {
    const asked = event.target.closest("details.sure button")?.closest("details");
    if (asked && event.timeStamp - asked.opened < 500) event.preventDefault();
  }, true);
  document.addEventListener("keydown", (event) => {
    if (event.repeat && event.target.closest("details.sure button")) event.preventDefault();
  }, true);

  // What a browser finds fault with is not left folded away.
  document.addEventListener("invalid", (event) => { for (let d = event.target.closest("details"); d; d = d.parentElement.closest("details")) d.open = true; }, true);

  // A password that nobody has to think of, shown so that it can be handed over.
  function generators(root) {
    const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    for (const button of all("[data-generate]", root)) {
      button.hidden = false;
      button.onclick = () => {
        const input = document.getElementById(button.dataset.generate);
        const numbers = crypto.getRandomValues(new Uint32Array(20));
        input.value = [...numbers].map((n) => letters[n % letters.length]).join("");
        input.type = "text";
        input.select();
      };
    }
  }

  // The button of a dangerous form wakes when the name is typed.
  function confirmations(root) {
    for (const input of all("input[data-expect]", root)) {
      const button = input.form.querySelector("button.danger");
      const look = () => { button.disabled = input.value.trim() !== input.dataset.expect; };
      input.addEventListener("input", look);
      look();
    }
  }

  // A form whose answers the server knows the rules of is asked about while it
  // is typed; only what somebody has touched is found fault with. What cannot
  // be asked now is said when the form is sent.
  function rules(root) {
    for (const form of all("form[data-check]", root)) {
      const touched = new Set();
      let timer, asking;
      const ask = async () => {
        asking?.abort();
        asking = new AbortController();
        try {
          const reply = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)), signal: asking.signal, redirect: "error" });
          if (!reply.ok) return;
          const faults = await reply.json();
          for (const place of touched) blame(place, faults[place.id] ?? "");
        } catch { /* said when it is sent */ }
      };
      const typed = (event, delay) => {
        const place = event.target.closest(".field")?.querySelector(".fault.live");
        if (!place) return;
        touched.add(place);
        clearTimeout(timer);
        timer = setTimeout(ask, delay);
      };
      form.addEventListener("input", (event) => typed(event, 300));
      form.addEventListener("change", (event) => typed(event, 0));
    }
  }
  function blame(place, text) {
    if (place.textContent !== text) place.textContent = text;
    const field = place.closest(".field");
    field.classList.toggle("wrong", text !== "");
    const control = field.matches("fieldset") ? field : field.querySelector("input, select, textarea");
    if (text) control.setAttribute("aria-invalid", "true");
    else control.removeAttribute("aria-invalid");
  }

  // One box ticks all rows, and what is done to rows says to how many.
  function batches(root) {
    for (const form of all("form[data-batch]", root)) {
      const boxes = all("input[name=id]", form);
      const head = form.querySelector("[data-all]");
      const count = form.querySelector("[data-count]");
      const look = () => {
        const ticked = boxes.filter((b) => b.checked).length;
        if (head) { head.checked = ticked > 0 && ticked === boxes.length; head.indeterminate = ticked > 0 && ticked < boxes.length; }
        if (count) count.textContent = ticked ? `${ticked} chosen` : "";
        for (const b of all("[data-needs]", form)) b.disabled = ticked === 0;
      };
      head?.addEventListener("change", () => { boxes.forEach((b) => { b.checked = head.checked; }); look(); });
      boxes.forEach((b) => b.addEventListener("change", look));
      look();
    }
  }

  // Fields that only count for one answer are shown for that answer.
  function dependents(root) {
    for (const part of all("[data-when]", root)) {
      const [name, value] = part.dataset.when.split("=");
      const form = part.closest("form");
      const look = () => {
        const chosen = new FormData(form).get(name) ?? "";
        const met = chosen === value;
        part.classList.toggle("met", met);
        all("input, select, textarea", part).forEach((f) => { f.disabled = !met; f.required ||= "needed" in f.dataset; });
      };
      form.addEventListener("change", look);
      look();
    }
  }

  // Relative times stay true.
  const units = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  function words(seconds) {
    const past = seconds >= 0;
    const size = Math.abs(seconds);
    if (size < 5) return "just now";
    const [unit, length] = units.find(([, l]) => size >= l);
    const n = unit === "second" ? Math.floor(size) : Math.round(size / length);
    const text = `${n} ${unit}${n === 1 ? "" : "s"}`;
    return past ? `${text} ago` : `in ${text}`;
  }
  function tick() {
    for (const time of all("time[datetime]")) {
      time.textContent = words((Date.now() - Date.parse(time.dateTime)) / 1000);
    }
  }

  // Whoever is at a control keeps their place when the part around it is drawn
  // anew: the same control, else the part itself.
  const places = new Map();
  const nameOf = (e) => e.getAttribute("aria-label") || e.textContent.trim() || e.name;
  document.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    const at = document.activeElement;
    if (part.id && at !== part && part.contains(at)) places.set(part.id, nameOf(at));
  });
  document.addEventListener("htmx:afterSwap", () => {
    for (const [id, name] of places) {
      places.delete(id);
      const part = document.getElementById(id);
      if (!part || (document.activeElement && document.activeElement !== document.body)) continue;
      const same = all("a[href], button:enabled, input:enabled, select, textarea, summary", part).find((e) => nameOf(e) === name);
      if (!same) part.tabIndex = -1;
      (same ?? part).focus({ preventScroll: true });
    }
  });

  // What was said by the page before is read out: a text that is there from
  // the beginning is not. A workspace's new status is read out as it comes.
  function announce() {
    const said = document.querySelector(".said:not(.trouble) span");
    if (said) setTimeout(() => { said.textContent = said.textContent; }, 250);
  }
  const status = () => document.querySelector("#live-head .pill")?.textContent ?? "";
  let told = "";
  function settled() {
    if (!document.querySelector("#live-head .pill.busy")) document.querySelector(".said[data-underway]")?.remove();
    const now = status();
    if (now === told) return;
    told = now;
    document.getElementById("announced").textContent = `${document.querySelector("#live-head h1").textContent}: ${now}`;
  }

  // Trouble: the server is asked until it answers, then the page goes on.
  let troubled = false;
  const waiting = [];
  function trouble(then) {
    if (then) waiting.push(then);
    if (troubled) return;
    troubled = true;
    const banner = document.getElementById("trouble");
    const shown = setTimeout(() => { if (banner) banner.hidden = false; }, 1500);
    const ask = async () => {
      try {
        if ((await fetch("/healthz", { cache: "no-store" })).ok) {
          clearTimeout(shown);
          if (banner) banner.hidden = true;
          troubled = false;
          waiting.splice(0).forEach((f) => f());
          return;
        }
      } catch { /* asked again */ }
      setTimeout(ask, 1000 + Math.random() * 1000);
    };
    ask();
  }

  // A part that is live is fetched again with the page and put in its place.
  const refresh = (part) => window.htmx?.trigger(part, "refresh");

  // Polled: a list in which something is under way looks again, unless
  // somebody is choosing in it.
  function polls() {
    for (const part of all("[data-poll]")) {
      if (!part.querySelector("input:checked") && !part.contains(document.activeElement)) refresh(part);
    }
  }

  // Watched: the API says when a workspace changes.
  function watches(root) {
    for (const part of all("[data-watch]", root)) {
      let pending = false;
      let seen = part.dataset.seen;
      const source = new EventSource(part.dataset.watch);
      const changed = (event) => {
        const { latest_build: build } = JSON.parse(event.data);
        const now = `${build.build_number} ${build.job.status}`;
        if (now === seen) { seen = undefined; return; } // the first event is what the page shows already
        seen = undefined;
        if (pending) return;
        pending = true;
        setTimeout(() => { pending = false; [part, ...all("[data-watched]")].forEach(refresh); }, 300);
      };
      source.addEventListener("data", changed);
      source.onerror = () => {
        source.close();
        trouble(() => setTimeout(() => { refresh(part); watches(part.parentElement); }, 500));
      };
      addEventListener("pagehide", () => source.close());
    }
  }

  // How long a stage took, or has taken so far.
  function took(ms) {
    const s = ms / 1000;
    if (s < 10) return `${s.toFixed(1)} s`;
    if (s < 60) return `${Math.floor(s)} s`;
    if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s) % 60} s`;
    return `${Math.floor(s / 3600)} h ${Math.floor(s / 60) % 60} min`;
  }
  let skew = 0; // how far this clock is ahead of the server's
  function counts() {
    for (const span of all(".took[data-since]")) {
      const ms = Math.max(0, Date.now() - skew - Date.parse(span.dataset.since));
      span.textContent = `${ms < 10000 ? `${Math.floor(ms / 1000)} s` : took(ms)} so far`;
    }
  }
  function stageEnds(list, at) {
    for (const span of all(".took[data-since]", list)) {
      const ms = Date.parse(at) - Date.parse(span.dataset.since);
      span.textContent = ms >= 0 ? took(ms) : "";
      delete span.dataset.since;
    }
  }

  // Followed: every line of a log as it comes, none twice, none lost.
  const maxLines = 20000;
  function piece(kind, text) {
    const span = document.createElement("span");
    span.className = kind;
    span.textContent = text;
    return span;
  }
  function line(row, list) {
    if (row.stage !== list.dataset.stage) {
      list.dataset.stage = row.stage;
      const stage = document.createElement("li");
      stage.className = "stage";
      const times = piece("times", "");
      times.setAttribute("aria-live", "off"); // what counts on is not read out
      if (row.created_at) {
        stageEnds(list, row.created_at);
        const began = piece("took", "");
        began.dataset.since = row.created_at;
        const at = piece("at", row.created_at.slice(11, 19));
        at.title = `Began ${row.created_at.slice(0, 10)} ${at.textContent} UTC`;
        times.append(began, " ", at);
      }
      stage.append(piece("name", row.stage), times);
      list.append(stage);
      counts();
    }
    list.dataset.last = row.created_at;
    if (!row.output) return;
    const item = document.createElement("li");
    item.className = `line ${row.log_level}`;
    item.textContent = row.output;
    list.append(item);
  }
  function follow(box) {
    const list = box.querySelector("ol");
    let after = Number(box.dataset.after || 0);
    let rows = [];
    let drawing = false;
    const draw = () => {
      drawing = false;
      const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 60;
      for (const row of rows) line(row, list);
      rows = [];
      while (list.children.length > maxLines) list.firstElementChild.remove();
      if (atEnd) box.scrollTop = box.scrollHeight;
    };
    const ended = () => {
      draw();
      if (list.dataset.last) stageEnds(list, list.dataset.last);
      box.removeAttribute("aria-busy");
      for (const part of all("[data-after-log]")) refresh(part);
    };
    const open = () => {
      const url = new URL(box.dataset.log, location.href);
      url.protocol = url.protocol.replace("http", "ws");
      url.searchParams.set("after", after);
      const socket = new WebSocket(url);
      socket.onmessage = (event) => {
        const row = JSON.parse(event.data);
        if (row.id <= after) return;
        after = row.id;
        rows.push(row);
        if (!drawing) { drawing = true; requestAnimationFrame(draw); }
      };
      socket.onclose = (event) => {
        if (event.code === 1000) ended();
        else if (event.code === 1008) line({ stage: "The log ends here", created_at: "", log_level: "error", output: event.reason }, list);
        else trouble(() => setTimeout(open, 500));
      };
      addEventListener("pagehide", () => { socket.onclose = null; socket.close(); });
    };
    box.scrollTop = box.scrollHeight;
    if (box.dataset.now) skew = Date.now() - Date.parse(box.dataset.now);
    if (box.dataset.log) open();
  }

  function ready(root) {
    copies(root);
    generators(root);
    confirmations(root);
    batches(root);
    dependents(root);
    rules(root);
    watches(root);
    all(".log", root).forEach(follow);
    for (const part of all("[data-retry]", root)) trouble(() => setTimeout(() => location.reload(), 3000));
  }

  document.addEventListener("DOMContentLoaded", () => {
    ready(document);
    announce();
    told = status();
    // Where tabs are wider than a phone, the one that is open is seen.
    for (const tab of all(".side [aria-current], .tabs [aria-current]")) {
      const row = tab.parentElement;
      row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
    }
    setInterval(tick, 10000);
    setInterval(counts, 1000);
    setInterval(polls, 3000);
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    copies(event.target);
    confirmations(event.target);
    batches(event.target);
    dependents(event.target);
    settled();
  });
  document.addEventListener("htmx:sendError", (event) => trouble(() => refresh(event.detail.elt)));
  document.addEventListener("htmx:responseError", (event) => {
    const { xhr, elt } = event.detail;
    if (xhr.status >= 500 || xhr.status === 429) trouble(() => setTimeout(() => refresh(elt), 3000));
  });
})();
