// Owns the controls of a form, one for each field, with what is wrong said beside it. Which fields there are is not here.

import { h, newId } from './dom.js';
import { momentInput } from './moments.js';
import { FIELDS, at, gather, write } from './fields.js';
import { choice, question } from './parts.js';

const FLAG = [['', 'as is said elsewhere'], ['true', 'yes'], ['false', 'no']];

/** The controls by the paths of their fields. */
export const controlsOf = (fields, given) => new Map(fields.map(field => [field.path, controlOf(field, at(given, field.path))]));

function controlOf(field, given) {
  const { kind } = field;
  const id = newId();
  const value = kind === 'moment' ? given : write(kind, given);
  const common = { id, name: field.path, spellcheck: 'false' };
  let input;
  let shown = () => input.value;
  let label = field.label;
  if (kind === 'moment') {
    const asked = momentInput(value, common);
    input = asked.input;
    shown = () => asked.read() ?? '';
    label = `${label} (${asked.zoneName})`;
  } else if (kind === 'choice' || kind === 'flag') input = choice(field.options ?? FLAG, value, common);
  else if (kind === 'check') {
    input = h('input', { ...common, type: 'checkbox', checked: value });
    shown = () => input.checked;
  }
  else if (['lines', 'json', 'long'].includes(kind)) input = h('textarea', { ...common, rows: kind === 'json' ? 4 : 2, value });
  else input = h('input', { ...common, type: kind === 'secret' ? 'password' : field.type ?? 'text', inputmode: kind === 'number' ? 'decimal' : null, list: field.list, autocomplete: kind === 'secret' ? 'new-password' : 'off', required: field.required, value });
  const error = h('span.error', { id: `${id}-error` });
  const hint = field.hint ? h('small', { id: `${id}-hint` }, field.hint) : null;
  input.setAttribute('aria-describedby', `${hint ? `${id}-hint ` : ''}${id}-error`);
  const labelled = h('label', { for: id }, label, field.required ? h('span', { 'aria-hidden': 'true' }, ' *') : null);
  const element = h('div.field', { class: `${field.wide ? 'full' : ''} ${kind === 'check' ? 'check' : ''}` }, kind === 'check' ? [input, labelled] : [labelled, input], hint, error);
  return { input, error, element, shown };
}

/** Says beside each field what is wrong with it. Gives the first one. */
export function mark(controls, errors) {
  let first = null;
  for (const [path, control] of controls) {
    const why = errors.get(path);
    const { input } = control;
    sayWrong(control, why);
    if (why && !first) {
      first = input;
      const group = input.closest('details');
      if (group) group.open = true;
    }
  }
  return first;
}

/** What the API says is wrong, by the fields of the form. */
export function byPath(problem, fields = FIELDS) {
  const errors = new Map();
  for (const { pointer, detail } of problem.errors ?? []) {
    const named = pointer?.replace(/^#?\//, '').replaceAll('/', '.') ?? '';
    const field = fields.find(({ path }) => named === path || named.startsWith(`${path}.`)) ?? fields.find(({ path }) => path.startsWith(`${named}.`));
    if (named && field) errors.set(field.path, detail);
  }
  return errors;
}

/** Says beside a field what is wrong with it, if anything is. */
export function sayWrong({ input, error }, why) {
  error.textContent = why ?? '';
  if (why) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

/** Asks for what has these fields. What `send` is refused is said where it is written. Gives null if it was broken off. */
export function askFor(title, fields, given, send, ...above) {
  const controls = controlsOf(fields, given);
  const complain = (errors, why) => {
    mark(controls, errors)?.focus();
    if (errors.size) throw why;
  };
  return question(title, [above, h('div.grid', [...controls.values()].map(control => control.element))], {
    yes: 'Save',
    read: () => {
      const { job, errors } = gather(path => controls.get(path).shown(), fields);
      complain(errors, new Error('Some fields are not as they have to be.'));
      return job;
    },
    send: async written => {
      try {
        await send(written);
      } catch (why) {
        complain(byPath(why, fields), why);
        throw why;
      }
    },
  });
}
