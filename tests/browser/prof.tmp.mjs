import WebSocket from 'ws';
import { API } from '../../connector/web/api.js';
import { Client, newID, Session } from '../../connector/web/knatter.js';
import { browser, Person } from './people.js';
import { Server } from './server.js';
import { writeFileSync } from 'node:fs';
const server = await Server.start();
const alice = await Person.at(server.origin, 'A'); await alice.signsUp(); const code = await alice.creates('R');
const writers = await Promise.all(['a','b','c','d'].map(async (nickname) => {
  const session = new Session({ origin: server.origin });
  await session.signUp({ email: `${newID()}@example.com`, password: 'correct horse battery', nickname });
  await new API(session).join(code);
  const client = new Client({ origin: server.origin, token: (s) => session.token(s), WebSocket });
  client.connect(); return client; }));
const p = await alice.context.newCDPSession(alice.page);
await p.send('Profiler.enable'); await p.send('Profiler.start');
const t0 = Date.now();
for (let n = 0; n < 3000; n += 1000) { await Promise.all(Array.from({length:1000},(_,i)=>writers[i%4].send('message.posted', code, {text:`m #${n+i}`}))); console.log('acked', n+1000, Date.now()-t0); }
await writers[3].send('message.posted', code, {text:'that was all'});
console.log('all sent', Date.now()-t0);
await alice.page.getByText('that was all').first().waitFor({timeout:60000});
console.log('seen', Date.now()-t0);
const { profile } = await p.send('Profiler.stop');
const self = new Map(); const byId = new Map(profile.nodes.map(n=>[n.id,n]));
profile.samples.forEach((id,i)=>{const f=byId.get(id).callFrame; const k=`${f.functionName} ${f.url.split('/').pop()}:${f.lineNumber+1}`; self.set(k,(self.get(k)||0)+profile.timeDeltas[i]/1000)});
console.log([...self].sort((a,b)=>b[1]-a[1]).slice(0,25).map(([k,v])=>`${v.toFixed(0)}ms ${k}`).join('\n'));
await browser.close(); await server.close(); process.exit()
