// Owns printing a value as YAML (1.2): what JSON has, block by block, and texts quoted unless they are plain words.

/** The value as a document. */
export function toYaml(value) {
  return print(value, '').replace(/^\n/, '') + '\n';
}

function print(value, indent) {
  if (Array.isArray(value)) {
    if (!value.length) return ' []';
    return value.map(item => `\n${indent}-${nested(item, `${indent}  `)}`).join('');
  }
  if (JSON.isRawJSON?.(value)) return ` ${value.rawJSON}`;
  if (value && typeof value === 'object') {
    const pairs = Object.entries(value);
    if (!pairs.length) return ' {}';
    return pairs.map(([name, item]) => `\n${indent}${scalar(name)}:${print(item, `${indent}  `)}`).join('');
  }
  return ` ${scalar(value)}`;
}

/** Within a list an object begins on the line of its dash. */
function nested(item, indent) {
  const text = print(item, indent);
  const isBlock = item && typeof item === 'object' && text.startsWith('\n');
  return isBlock ? ` ${text.slice(1).trimStart()}` : text;
}

function scalar(value) {
  if (typeof value !== 'string') return String(value);
  // What could be taken for a number, a word with a meaning, or an indicator is quoted; JSON's quotes are YAML's.
  const isPlain = /^[A-Za-z][\w./ -]*[\w./-]$|^[A-Za-z]$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value);
  return isPlain ? value : JSON.stringify(value);
}
