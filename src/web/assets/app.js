/* Live values. Plain ES5: panel computers keep their browsers for ten years. The page works without it. */
(function () {
  'use strict';
  var SILENT_MS = 5000;      /* the stream speaks each second; after this long the page no longer looks live */
  var RETRY_MS = 4000;       /* a refused stream (server full, restarting) is tried again */
  var TREND_MS = 30000;      /* a trend costs a read of the store */
  var body = document.body, events = body.getAttribute('data-events'), shape = body.getAttribute('data-shape');
  var banner = document.getElementById('lost');
  if (!events || !banner) { return; }
  if (!window.EventSource) { setTimeout(function () { location.reload(); }, 5000); return; }

  var cells = {}, found = document.querySelectorAll('[data-k]'), i;
  for (i = 0; i < found.length; i += 1) { cells[found[i].getAttribute('data-k')] = found[i]; }

  function monotonic() { return window.performance ? performance.now() : Date.now(); }
  var heard = monotonic(), heardAt = '', source = null;

  function put(cell) { /* [number, text or percent, class] */
    var el = cells[cell[0]];
    if (!el) { return; }
    if (el.tagName === 'IMG') {
      if (cell[1]) { el.setAttribute('src', cell[1]); } else { el.removeAttribute('src'); }
      return;
    }
    if (typeof cell[1] === 'number') { el.setAttribute('width', cell[1] + '%'); } else { el.textContent = cell[1]; }
    el.setAttribute('class', cell[2]);
  }

  function reload() { /* a changed page: load anew, but never in a circle; until then it counts as standing still */
    var last = 0, now = Date.now();
    try { last = Number(sessionStorage.getItem('reloaded') || 0); } catch (e) { last = 0; }
    if (now - last <= 10000 && now >= last) { return; }
    try { sessionStorage.setItem('reloaded', String(now)); } catch (e) { last = 0; }
    location.reload();
  }

  function take(message) {
    var patch = JSON.parse(message.data), j;
    if (patch.shape !== shape) { reload(); return; }
    heard = monotonic();
    heardAt = patch.at;
    for (j = 0; j < patch.set.length; j += 1) { put(patch.set[j]); }
  }

  function open() {
    source = new EventSource(events);
    source.onmessage = take;
    source.onerror = function () {
      if (source.readyState === 2) { source.close(); setTimeout(open, RETRY_MS); }
    };
  }

  function watch() {
    var silent = monotonic() - heard, lost = silent > SILENT_MS;
    banner.hidden = !lost;
    body.className = lost ? 'lost' : '';
    if (lost) {
      banner.textContent = '■ ' + banner.getAttribute('data-lost') + ' ' + heardAt + ' · ' +
        banner.getAttribute('data-for') + ' ' + Math.round(silent / 1000) + ' s';
    }
  }

  function renew(box) {
    var request = new XMLHttpRequest();
    request.open('GET', box.getAttribute('data-src'));
    request.timeout = 15000;
    request.onload = function () { if (request.status === 200) { box.innerHTML = request.responseText; } };
    request.send();
  }

  var clock = document.querySelector('.time [data-k]');
  heardAt = clock ? clock.textContent : '';
  open();
  setInterval(watch, 1000);
  var trend = document.getElementById('trend');
  if (trend) { setInterval(function () { renew(trend); }, TREND_MS); }
}());
