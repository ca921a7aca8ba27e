// A watcher by the npm package "sip": it subscribes, reads every message that comes
// to the letter, and prints a line for each. Whatever it does not like ends it with
// code 1.
//
//   node watcher.js MODULES SERVER OWN-ADDRESS OWN-PORT udp|tcp dialog|presence|list USER
//
// Typing "end" ends the subscription, and then the program.
'use strict';
const [modules, server, ip, port, transport, kind, user] = process.argv.slice(2);
const sip = require(modules + '/sip');

function fail(what, message) {
  console.log('FAULT ' + what);
  if (message) console.log(typeof message === 'string' ? message : sip.stringify(message));
  process.exit(1);
}
function check(ok, what, message) { if (!ok) fail(what, message); }

// elements checks that a text is well-formed XML, and lists its start tags.
function elements(text) {
  const name = '[A-Za-z_][\\w.:-]*';
  const tag = new RegExp('^<(/?)(' + name + ')((?:\\s+' + name + '\\s*=\\s*(?:"[^"<]*"|\'[^\'<]*\'))*)\\s*(/?)>');
  const entity = /&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)/;
  let rest = text.replace(/^<\?xml version="1\.0"( encoding="UTF-8")?\?>\s*/, '');
  const open = [], list = [];
  let roots = 0;
  while (rest.trim() !== '') {
    const chars = /^[^<]*/.exec(rest)[0];
    check(!entity.test(chars), 'a bare ampersand', text);
    check(open.length > 0 || chars.trim() === '', 'text outside of the document', text);
    if (open.length) list[open[open.length - 1].n].text += chars;
    rest = rest.slice(chars.length);
    if (rest === '') break;
    const m = tag.exec(rest);
    check(m, 'no tag: ' + rest.slice(0, 40), text);
    rest = rest.slice(m[0].length);
    if (m[1]) {
      check(open.length && open.pop().name === m[2] && m[3] === '' && !m[4], 'end of ' + m[2], text);
      continue;
    }
    check(!entity.test(m[3]), 'a bare ampersand', text);
    if (open.length === 0) check(++roots === 1, 'two documents', text);
    const attrs = {};
    for (const a of m[3].matchAll(new RegExp('(' + name + ')\\s*=\\s*(?:"([^"]*)"|\'([^\']*)\')', 'g'))) {
      check(!(a[1] in attrs), 'attribute ' + a[1] + ' twice', text);
      attrs[a[1]] = a[2] === undefined ? a[3] : a[2];
    }
    list.push({name: m[2].replace(/^.*:/, ''), attrs, text: ''});
    if (!m[4]) open.push({name: m[2], n: list.length - 1});
  }
  check(roots === 1 && open.length === 0, 'no whole document', text);
  return list;
}

const orbit = 'sip:' + user + '@' + server + (transport === 'tcp' ? ';transport=tcp' : '');
const contact = 'sip:strict@' + ip + ':' + port + (transport === 'tcp' ? ';transport=tcp' : '');
const types = {dialog: 'application/dialog-info+xml', presence: 'application/pidf+xml'};
const event = kind === 'presence' ? 'presence' : 'dialog';
const callId = 'strict-' + process.pid + '@' + ip, tag = 'from-' + process.pid;
let cseq = 0, answered = null, notified = {seq: 0, version: -1, list: -1, members: {}}, over = false;

// dialogInfo reads a document of RFC 4235 and says what it shows.
function dialogInfo(text, entity, versions) {
  const list = elements(text), root = list[0];
  check(root.name === 'dialog-info' && root.attrs.xmlns === 'urn:ietf:params:xml:ns:dialog-info', 'root of a dialog-info', text);
  check(root.attrs.state === 'full', 'not full', text);
  check(root.attrs.entity === entity, 'entity ' + root.attrs.entity + ', want ' + entity, text);
  const version = /^\d+$/.test(root.attrs.version) ? +root.attrs.version : -1;
  check(versions === null || version === versions + 1, 'version ' + version + ' after ' + versions, text);
  const dialogs = list.filter(e => e.name === 'dialog');
  check(dialogs.length === 1 && dialogs[0].attrs.id, 'one dialog, with an id', text);
  const states = list.filter(e => e.name === 'state');
  check(states.length === 1 && /^(trying|proceeding|early|confirmed|terminated)$/.test(states[0].text), 'state', text);
  return {version, shows: states[0].text};
}

// presence reads a document of RFC 3863.
function presence(text) {
  const list = elements(text), root = list[0];
  check(root.name === 'presence' && root.attrs.xmlns === 'urn:ietf:params:xml:ns:pidf', 'root of a pidf', text);
  check(root.attrs.entity, 'entity', text);
  const basic = list.filter(e => e.name === 'basic').map(e => e.text);
  check(basic.length === 1 && /^(open|closed)$/.test(basic[0]), 'basic', text);
  return list.some(e => e.name === 'on-the-phone') ? 'busy' : 'free';
}

// rlmi reads a list of RFC 4662 and what its parts show.
function rlmi(m) {
  const boundary = /;\s*boundary="?([^";]+)"?/.exec(m.headers['content-type']);
  check(/^multipart\/related/.test(m.headers['content-type']) && boundary && /;\s*type="application\/rlmi\+xml"/.test(m.headers['content-type']), 'Content-Type', m);
  check(m.headers.require === 'eventlist', 'Require', m);
  const parts = {};
  const pieces = ('\r\n' + m.content).split('\r\n--' + boundary[1]);
  check(/^--\s*$/.test(pieces[pieces.length - 1]), 'the last boundary', m);
  for (const piece of pieces.slice(1, -1)) {
    const i = piece.indexOf('\r\n\r\n');
    const head = {};
    for (const line of piece.slice(2, i).split('\r\n')) head[line.split(':')[0].toLowerCase()] = line.replace(/^[^:]*:\s*/, '');
    parts[(head['content-id'] || '').replace(/^<|>$/g, '')] = {type: head['content-type'], body: piece.slice(i + 4)};
  }
  const start = /;\s*start="<([^>]+)>"/.exec(m.headers['content-type']);
  check(start && parts[start[1]] && /^application\/rlmi\+xml/.test(parts[start[1]].type), 'start', m);
  const list = elements(parts[start[1]].body), root = list[0];
  check(root.name === 'list' && root.attrs.xmlns === 'urn:ietf:params:xml:ns:rlmi', 'root of an rlmi', m);
  check(root.attrs.uri === orbit, 'uri ' + root.attrs.uri, m);
  check(+root.attrs.version === notified.list + 1, 'version ' + root.attrs.version + ' after ' + notified.list, m);
  check(notified.list >= 0 || root.attrs.fullState === 'true', 'the first one is not full', m);
  notified.list = +root.attrs.version;
  const used = new Set([start[1]]), shows = [];
  let member = null;
  for (const e of list) {
    if (e.name === 'resource') member = e.attrs.uri;
    if (e.name !== 'instance' || !e.attrs.cid) continue;
    check(e.attrs.id && e.attrs.state === 'active', 'instance', m);
    check(parts[e.attrs.cid] && !used.has(e.attrs.cid), 'cid ' + e.attrs.cid, m);
    used.add(e.attrs.cid);
    const d = dialogInfo(parts[e.attrs.cid].body, member, null);
    check(!(member in notified.members) || d.version > notified.members[member], 'version of ' + member, m);
    notified.members[member] = d.version;
    shows.push(/^sip:([^@]*)/.exec(member)[1] + ' ' + d.shows);
  }
  check(used.size === Object.keys(parts).length, 'parts that nobody names', m);
  return (root.attrs.fullState === 'true' ? 'full' : 'partial') + ' ' + shows.join(', ');
}

function notify(m) {
  const h = m.headers;
  check(answered, 'NOTIFY before the 200', m);
  check(m.uri === contact, 'Request-URI ' + m.uri + ', want ' + contact, m);
  check(h.via && h.via.length === 1 && /^z9hG4bK./.test(h.via[0].params.branch) && h.via[0].host && h.via[0].version === '2.0', 'Via', m);
  check(h['call-id'] === callId && h.to.params.tag === tag && h.from.params.tag === answered.headers.to.params.tag, 'dialog', m);
  check(sip.parseUri(h.from.uri).user === user, 'From', m);
  check(h.cseq.method === 'NOTIFY' && (notified.seq === 0 || h.cseq.seq === notified.seq + 1), 'CSeq ' + h.cseq.seq + ' after ' + notified.seq, m);
  notified.seq = h.cseq.seq;
  check(/^\d+$/.test(h['max-forwards']) && +h['max-forwards'] <= 255, 'Max-Forwards', m);
  check(h.contact && h.contact.length === 1 && sip.parseUri(h.contact[0].uri), 'Contact', m);
  check(h.event === event, 'Event', m);
  const state = /^(?:active;expires=(\d+)|terminated;reason=(deactivated|probation|rejected|timeout|giveup|noresource)(?:;retry-after=\d+)?)$/.exec(h['subscription-state']);
  check(state && (!state[1] || +state[1] > 0 && +state[1] <= 600), 'Subscription-State', m);
  check(h['content-length'] === Buffer.byteLength(m.content), 'Content-Length', m);
  let shows;
  if (kind === 'list') {
    shows = rlmi(m);
  } else {
    check(h['content-type'] === types[kind], 'Content-Type', m);
    if (kind === 'dialog') {
      const d = dialogInfo(m.content, orbit, notified.version);
      notified.version = d.version;
      shows = d.shows;
    } else {
      shows = presence(m.content);
    }
  }
  sip.send(sip.makeResponse(m, 200, 'OK'));
  console.log('NOTIFY ' + shows + ' ' + (state[2] || 'active'));
  if (state[2]) {
    check(over, 'ended by itself', m);
    setTimeout(() => process.exit(0), 50);
  }
}

function subscribe(expires) {
  const headers = {
    to: {uri: orbit, params: answered ? {tag: answered.headers.to.params.tag} : {}},
    from: {uri: 'sip:strict@' + server, params: {tag}},
    'call-id': callId, cseq: {method: 'SUBSCRIBE', seq: ++cseq}, contact: [{uri: contact}],
    event, expires, accept: kind === 'list' ? 'multipart/related, application/rlmi+xml, application/dialog-info+xml' : types[kind],
  };
  if (kind === 'list') headers.supported = 'eventlist';
  sip.send({method: 'SUBSCRIBE', uri: answered ? answered.headers.contact[0].uri : orbit, headers}, r => {
    check(r.status === 200, 'answered ' + r.status, r);
    check(r.headers.to.params.tag && r.headers.contact && r.headers.contact.length === 1, 'To tag and Contact of the 200', r);
    check(/^\d+$/.test(r.headers.expires) && +r.headers.expires <= expires, 'Expires ' + r.headers.expires, r);
    check(!answered || answered.headers.to.params.tag === r.headers.to.params.tag, 'another To tag', r);
    check(kind !== 'list' || r.headers.require === 'eventlist', 'Require of the 200', r);
    answered = r;
    console.log('SUBSCRIBED ' + expires);
  });
}

sip.start({address: ip, port: +port, udp: transport === 'udp', tcp: transport === 'tcp', publicAddress: ip, hostname: ip}, m => {
  if (m.method === 'NOTIFY') return notify(m);
  if (m.method === 'OPTIONS') return sip.send(sip.makeResponse(m, 200, 'OK'));
  fail('an unexpected ' + m.method, m);
});
subscribe(600);
process.stdin.on('data', line => {
  if (String(line).trim() !== 'end') return;
  over = true;
  subscribe(0);
});
process.stdin.on('end', () => process.exit(0));
