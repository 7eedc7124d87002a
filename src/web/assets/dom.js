// Owns making elements. Text gets in as text nodes only, so nothing that comes from elsewhere is ever taken for markup.

const SVG = 'http://www.w3.org/2000/svg';
const PROPERTIES = new Set(['value', 'checked', 'selected', 'disabled', 'open', 'indeterminate', 'returnValue']);

/** Makes an element: `h('a.link', { href: '/jobs' }, 'Jobs')`. What is null or false among the children is left out. */
export function h(name, ...rest) {
  return fill(document.createElement(tagOf(name)), name, rest);
}

/** The same within a drawing. */
export function s(name, ...rest) {
  return fill(document.createElementNS(SVG, tagOf(name)), name, rest);
}

/** Puts other children into an element. What had the focus gives it to what takes its place. */
export function replace(element, ...children) {
  const on = document.activeElement;
  const key = on !== element && element.contains(on) && keyOf(on);
  element.replaceChildren(...flat(children));
  if (key && !on.isConnected) [...element.querySelectorAll(on.localName)].find(one => keyOf(one) === key)?.focus({ preventScroll: true });
  return element;
}

/** By what an element is known again in what takes its place. */
const keyOf = element => (element.name ? `${element.name} ${element.type === 'checkbox' ? element.value : ''}` : element.getAttribute('href') ?? element.getAttribute('aria-label') ?? element.textContent);

/** Runs one at a time, and says so at `element`, which keeps the focus: what is disabled would lose it. */
export function busy(element, run) {
  return async (...given) => {
    if (element.getAttribute('aria-busy')) return;
    element.setAttribute('aria-busy', 'true');
    try {
      await run(...given);
    } finally {
      element.removeAttribute('aria-busy');
    }
  };
}

/** What is to be said to whoever listens, and only shown by a title to others. */
export function hint(text) {
  return h('span.visually-hidden', text);
}

const tagOf = name => name.split('.', 1)[0];

function fill(element, name, rest) {
  const classes = name.split('.').slice(1);
  const [first] = rest;
  const hasAttributes = first && typeof first === 'object' && !Array.isArray(first) && !(first instanceof Node);
  if (hasAttributes) {
    for (const [key, value] of Object.entries(rest.shift())) set(element, key, value, classes);
  }
  if (classes.length) element.setAttribute('class', classes.join(' '));
  element.append(...flat(rest));
  return element;
}

function set(element, key, value, classes) {
  if (value === null || value === undefined || value === false) return;
  if (key === 'class') classes.push(...value.split(' ').filter(Boolean));
  else if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
  else if (PROPERTIES.has(key)) element[key] = value;
  else if (key === 'dataset') Object.assign(element.dataset, value);
  else element.setAttribute(key, value === true ? '' : value);
}

function flat(children) {
  return children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false);
}

let ids = 0;
/** An id that no other element has. */
export const newId = () => `e${++ids}`;

/** Calls `run`, but not more often than every `ms`: what is asked for meanwhile is done once, when that is over. */
export function paced(ms, run) {
  let last = 0;
  let timer = 0;
  return () => {
    const wait = last + ms - Date.now();
    if (wait > 0) {
      timer ||= setTimeout(() => {
        timer = 0;
        last = Date.now();
        run();
      }, wait);
      return;
    }
    last = Date.now();
    run();
  };
}

/** Calls `run` once nobody has called for `ms`. */
export function settled(ms, run) {
  let timer = 0;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), ms);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
