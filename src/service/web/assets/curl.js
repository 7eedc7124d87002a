// Owns curl commands and crontab lines: a job as the command that sends the same, and a line that somebody has as a job.

/** Quotes for a POSIX shell. */
const quote = text => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** The request of a job as a curl command. Secrets stand for themselves as variables. */
export function toCurl(job) {
  const method = job.method ?? 'POST';
  const parts = ['curl', method === 'HEAD' ? '--head' : `-X ${method}`, quote(job.api)];
  const headers = Object.entries(job.headers ?? {});
  const hasType = headers.some(([name]) => name.toLowerCase() === 'content-type');
  const body = bodyOf(job);
  if (body !== null && !hasType) parts.push("-H 'Content-Type: application/json'");
  for (const [name, value] of headers) parts.push(`-H ${quote(`${name}: ${value}`)}`);
  for (const name of Object.keys(job.secretHeaders ?? {})) parts.push(`-H ${quote(`${name}: `)}"$SECRET"`);
  if (job.auth?.basic) parts.push(`-u ${quote(job.auth.basic.username)}:"$PASSWORD"`);
  if (job.auth?.bearer) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (job.timeoutMs) parts.push(`--max-time ${job.timeoutMs / 1000}`);
  // As it is written, also if it begins with @.
  if (body !== null) parts.push(`--data-raw ${quote(body)}`);
  // What curl takes for a pattern in a URL.
  if (/[[\]{}]/.test(job.api)) parts.splice(1, 0, '-g');
  return parts.join(' \\\n  ');
}

/** What is sent as a body; null: nothing. */
function bodyOf(job) {
  if (job.json !== undefined) return JSON.stringify(job.json);
  if (job.body !== undefined && job.body !== null) return job.body;
  return ['POST', 'PUT', 'PATCH'].includes(job.method ?? 'POST') ? '{}' : null;
}

/** A field of a schedule: numbers, signs, names of months and days. */
const FIELD = /^(\*|\?|L|W|[\d*,/~?#LW-]|SUN|MON|TUE|WED|THU|FRI|SAT|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)+$/i;

/** A crontab line or a curl command as members of a job, with remarks about what is not taken over. Throws if it is neither. */
export function fromPasted(text) {
  let line = text.replace(/\\\r?\n/g, ' ').trim();
  const zone = /^CRON_TZ=["']?([\w/+-]+)["']?\s+/.exec(line);
  if (zone) line = line.slice(zone[0].length);
  const terms = zone ? { timeZone: zone[1] } : {};
  const macro = /^(@\w+(?:\s+\d+\w+)?)\s+(.+)$/s.exec(line);
  if (macro?.[1] === '@reboot') throw new Error('@reboot is no time: a job is due by the clock');
  if (macro) return { ...terms, schedule: macro[1], ...request(unescaped(macro[2])) };
  const words = line.split(/\s+/);
  const other = words.findIndex(word => !FIELD.test(word));
  const fields = Math.min(other < 0 ? words.length : other, 7);
  if (fields < 5) return { ...terms, ...request(line) };
  const schedule = words.slice(0, fields).join(' ');
  const rest = new RegExp(`^(?:\\S+\\s+){${fields}}`).exec(`${line} `)?.[0].length ?? line.length;
  return { ...terms, schedule, ...request(unescaped(line.slice(rest))) };
}

/** In a crontab a percent sign is written behind a backslash. */
const unescaped = command => command.replaceAll('\\%', '%');

function request(line) {
  const remarks = [];
  const commands = split(line);
  const variable = /\$[A-Za-z_{(]\w*|`/.exec(line.replace(/'[^']*'/g, ''));
  if (variable) remarks.push(`what the shell would make of ${variable[0]} is not known: it stands here as it is written`);
  const isSending = word => /(^|\/)(curl|wget)$/.test(word);
  const command = commands.find(words => words.some(isSending));
  const leave = words => words.length && remarks.push(`left out: ${words.join(' ')}`);
  if (!command) {
    const url = commands.flat().find(word => /^https?:\/\//.test(word));
    if (!url) throw new Error('expected a crontab line that ends in a curl or wget command, such a command, or a URL');
    return { api: url, remarks };
  }
  const start = command.findIndex(isSending);
  commands.forEach(words => leave(words === command ? words.slice(0, start) : words));
  const job = /wget$/.test(command[start]) ? wget(command.slice(start + 1), remarks) : curl(command.slice(start + 1), remarks);
  if (!job.api) throw new Error('the command has no URL');
  if (!/^https?:\/\//.test(job.api)) job.api = `http://${job.api}`;
  return { ...job, remarks };
}

/** Options of curl that say nothing about the request, or nothing that a job could say. */
const QUIET = new Set(['-s', '--silent', '-S', '--show-error', '-f', '--fail', '--fail-with-body', '-v', '--verbose', '-i', '--include', '-g', '--globoff', '-N', '--no-buffer', '--compressed', '--http1.1', '-#']);
/** Options with a value that a job has nothing for. */
const LEFT_WITH_VALUE = new Set(['-F', '--form', '--form-string', '-x', '--proxy', '-T', '--upload-file', '--connect-to', '--resolve', '-E', '--cert', '--key', '--cacert', '--capath', '--pass', '-r', '--range', '-K', '--config', '-z', '--time-cond', '--interface', '--limit-rate', '-Q', '--quote', '-U', '--proxy-user', '--dns-servers', '--max-redirs', '--ciphers', '--tls-max', '--unix-socket', '--abstract-unix-socket', '--proto', '--proto-default', '--noproxy', '--keepalive-time', '-Y', '--speed-limit', '-y', '--speed-time', '--max-filesize', '--local-port', '--trace', '--trace-ascii', '--cert-type', '--key-type', '--engine', '--oauth2-bearer', '--aws-sigv4', '--rate', '--variable']);
const QUIET_WITH_VALUE = new Set(['-o', '--output', '-w', '--write-out', '-c', '--cookie-jar', '--connect-timeout', '--retry-delay', '--retry-max-time', '-D', '--dump-header']);

function curl(words, remarks) {
  const job = { headers: {} };
  const data = [];
  let get = false;
  let isJson = false;
  const written = value => {
    if (value.startsWith('@')) remarks.push('a body from a file (@…) is not read; write it below');
    return value;
  };
  const handlers = {
    '-X': value => { job.method = value.toUpperCase(); },
    '-H': value => {
      const [, name, given] = /^([^:]+):\s*(.*)$/.exec(value) ?? [null, value.replace(/;$/, ''), ''];
      if (/^authorization$/i.test(name)) authorize(job, given, remarks);
      else job.headers[name] = given;
    },
    '-d': value => data.push(written(value)),
    '--data-raw': value => data.push(value),
    '--data-urlencode': value => {
      const [, name, text] = /^([^=@]*=)?(.*)$/s.exec(value);
      data.push(`${name && name !== '=' ? name : ''}${encodeURIComponent(text)}`);
    },
    '--json': value => { data.push(written(value)); isJson = true; },
    '--url': value => { job.api = value; },
    '-u': value => {
      const [username, ...password] = value.split(':');
      job.auth = { basic: { username, password: password.join(':') } };
    },
    '-A': value => { job.headers['User-Agent'] = value; }, '-e': value => { job.headers.Referer = value; },
    '-b': value => {
      if (value.includes('=')) job.headers.Cookie = value;
      else remarks.push(`left out: the cookies in the file ${value}`);
    },
    '-m': value => { job.timeoutMs = Math.round(Number(value) * 1000); },
    '--retry': value => { job.retry = { maxAttempts: Number(value) + 1 }; },
  };
  const same = { '--request': '-X', '--header': '-H', '--data': '-d', '--data-binary': '-d', '--data-ascii': '-d', '--user': '-u', '--user-agent': '-A', '--referer': '-e', '--cookie': '-b', '--max-time': '-m' };
  const left = [...words];
  while (left.length) {
    let word = left.shift();
    let value = null;
    if (/^--[\w-]+=/.test(word)) [word, value] = [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)];
    if (/^-[A-Za-z]{2,}/.test(word)) {
      // -fsSd x is -f -s -S -d x, and -XPUT is -X PUT.
      const rest = word.slice(2);
      word = word.slice(0, 2);
      if (handlers[word] || QUIET_WITH_VALUE.has(word) || LEFT_WITH_VALUE.has(word)) value = rest;
      else left.unshift(`-${rest}`);
    }
    word = same[word] ?? word;
    if (handlers[word]) handlers[word](value ?? left.shift() ?? '');
    else if (word === '-G' || word === '--get') get = true;
    else if (word === '-I' || word === '--head') job.method = 'HEAD';
    else if (word === '-L' || word === '--location') remarks.push('-L is left out: redirects are not followed');
    else if (word === '-k' || word === '--insecure') remarks.push('-k is left out: certificates are always checked');
    else if (QUIET_WITH_VALUE.has(word)) value ?? left.shift();
    else if (LEFT_WITH_VALUE.has(word)) remarks.push(`left out: ${word} ${value ?? left.shift() ?? ''}`);
    else if (QUIET.has(word)) continue;
    else if (word.startsWith('-')) remarks.push(`left out: ${word}`);
    else job.api ??= word;
  }
  finish(job, data, get, isJson);
  return job;
}

function authorize(job, given, remarks) {
  const [, kind, rest] = /^(\w+)\s+(.+)$/.exec(given) ?? [];
  if (/^bearer$/i.test(kind ?? '')) job.auth = { bearer: rest };
  else {
    job.secretHeaders = { Authorization: given };
    remarks.push('Authorization became a secret header');
  }
}

function finish(job, data, get, isJson) {
  if (data.length && get) {
    job.api += (job.api?.includes('?') ? '&' : '?') + data.join('&');
  } else if (data.length) {
    job.method ??= 'POST';
    const type = Object.keys(job.headers).find(name => name.toLowerCase() === 'content-type');
    const body = data.join('&');
    if (!type && !isJson) job.headers['Content-Type'] = 'application/x-www-form-urlencoded';
    job.body = body;
  }
  // curl asks by GET, a job by POST unless it says otherwise.
  job.method ??= 'GET';
  if (!Object.keys(job.headers).length) delete job.headers;
}

function wget(words, remarks) {
  const job = { headers: {} };
  const data = [];
  const left = [...words];
  while (left.length) {
    const word = left.shift();
    const [, name, value] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [null, word, null];
    if (name === '--header') {
      const [, header, given] = /^([^:]+):\s*(.*)$/.exec(value ?? left.shift()) ?? [];
      if (header) job.headers[header] = given;
    } else if (name === '--post-data' || name === '--body-data') data.push(value ?? left.shift());
    else if (name === '--method') job.method = (value ?? left.shift()).toUpperCase();
    else if (name === '--timeout') job.timeoutMs = Number(value ?? left.shift()) * 1000;
    else if (/^-T$/.test(word)) job.timeoutMs = Number(left.shift()) * 1000;
    else if (/^-t$/.test(word) || word === '-o') left.shift();
    else if (/^-q?O$/.test(word)) {
      if (left[0] === '-' || left[0]?.startsWith('/')) left.shift();
    } else if (/^-q?O./.test(word) || /^(-q|--quiet|-nv|--spider)$/.test(word)) continue;
    else if (word.startsWith('-')) remarks.push(`left out: ${word}`);
    else job.api ??= word;
  }
  finish(job, data, false, false);
  return job;
}

/** The commands of a line of shell, each as its words. Where their output goes is nothing that a job has. */
function split(line) {
  const commands = [[]];
  let word = null;
  let place = 0;
  const add = text => { word = (word ?? '') + text; };
  const end = () => {
    if (word !== null) commands.at(-1).push(word);
    word = null;
  };
  while (place < line.length) {
    const rest = line.slice(place);
    const single = /^\$?'((?:[^'\\]|\\.)*?)'/s.exec(rest[0] === '$' ? rest : '') ?? /^'([^']*)'/.exec(rest);
    const double = /^"((?:[^"\\]|\\.)*)"/s.exec(rest);
    const redirection = word === null && /^(\d?>{1,2}(&\d|\s*[^\s;|&]+)|&>\s*\S+|<\s*\S+)/.exec(rest);
    const operator = /^(\|\||&&|[|;&])/.exec(rest);
    if (single) add(rest[0] === '$' ? single[1].replace(/\\(.)/g, (_, char) => ({ n: '\n', t: '\t', r: '\r' })[char] ?? char) : single[1]);
    else if (double) add(double[1].replace(/\\(["\\$`])/g, '$1'));
    else if (redirection || operator || /^\s/.test(rest)) end();
    // In a crontab a percent sign has to be written behind a backslash.
    else add(rest[0] === '\\' && rest.length > 1 ? rest[1] : rest[0]);
    if (operator && !redirection && !single && !double) commands.push([]);
    const taken = single ?? double ?? (redirection || operator);
    place += taken ? taken[0].length : rest[0] === '\\' && rest.length > 1 ? 2 : 1;
  }
  end();
  return commands.filter(words => words.length);
}
