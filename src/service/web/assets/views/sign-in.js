// Owns the question for a token, where the API wants one.

import { busy, h, replace } from '../dom.js';
import { ask } from '../api.js';
import { field } from '../parts.js';

export default function signIn({ title }, then) {
  title('Sign in');
  const token = h('input', { type: 'password', autocomplete: 'current-password', required: true, autofocus: true, spellcheck: 'false' });
  const error = h('p', { role: 'alert' });
  const button = h('button', 'Sign in');
  const form = h('form.card.narrow', h('h1', 'Sign in'), field('Token', token, 'It begins with pun_r_, pun_w_ or pun_a_.'), error, h('div.buttons', button),
    h('p.soft', 'Whoever looks after this server makes one: ', h('code', 'punctual token create --scope write --name you'), '. It is exchanged for a cookie that counts for twelve hours and that no script reads.'));
  form.addEventListener('submit', event => event.preventDefault());
  form.addEventListener('submit', busy(button, async () => {
    try {
      await ask('POST', '/api/session', { body: { token: token.value.trim() } });
      token.value = '';
      await then();
    } catch (why) {
      error.className = 'error';
      replace(error, why.status === 401 ? 'This token does not count: it is unknown, revoked or expired.' : why.message);
      token.focus();
    }
  }));
  return form;
}
