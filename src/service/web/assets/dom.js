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

/** The same for what is only shown and drawn again and again: what has not changed stays, and with it the focus and a click
 * that has begun. */
export function refresh(element, ...children) {
  const fresh = element.cloneNode(false);
  fresh.append(...flat(children));
  patch(element, fresh);
  return element;
}

/** Makes one node like another one. Gives the one that is there then. */
export function patch(old, fresh) {
  if (old.isEqualNode(fresh)) return old;
  const isText = old.nodeType === Node.TEXT_NODE && fresh.nodeType === Node.TEXT_NODE;
  if (isText) old.data = fresh.data;
  else if (old.nodeType === Node.ELEMENT_NODE && fresh.nodeType === Node.ELEMENT_NODE && old.cloneNode(false).isEqualNode(fresh.cloneNode(false))) {
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((child, place) => (place < before.length ? patch(before[place], child) : old.append(child)));
    before.slice(after.length).forEach(child => child.remove());
  } else {
    old.replaceWith(fresh);
    return fresh;
  }
  return old;
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

function tagOf(name) {
  const tag = name.split('.', 1)[0];
  // Engines differ in what they take for the name of an element.
  if (!/^[a-zA-Z][a-zA-Z0-9-]*$/.test(tag)) throw new Error(`${name} is no element`);
  return tag;
}

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
