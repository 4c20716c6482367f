// @ts-check
import { AccountView } from './account.js';
import { Chat } from './chat.js';
import { fill } from './dom.js';
import { Session } from './knatter.js';
import { settings } from './settings.js';
import { announcements } from './status.js';

const place = /** @type {HTMLElement} */ (document.getElementById('app'));
const session = new Session({ origin: location.origin, storage: localStorage, locks: navigator.locks });

/** @type {AccountView | Chat | undefined} */
let view;

/** Shows the chat to who is logged in, and everybody else the way in. */
function show() {
  view?.close();
  document.documentElement.lang = settings.language;
  const { user } = session;
  view = user
    ? new Chat({ session, user })
    : new AccountView({ session, kind: localStorage.getItem('knatter.known') ? 'logIn' : 'signUp', ondone: show });
  if (user) localStorage.setItem('knatter.known', '1'); // next time, logging in is likelier than signing up
  fill(place, view.root);
}

session.addEventListener('change', show);
addEventListener('storage', (event) => session.changed(event));
settings.addEventListener('change', () => {
  document.documentElement.lang = settings.language;
  if (view instanceof Chat) view.draw();
  else show();
});

document.body.append(announcements);
show();
