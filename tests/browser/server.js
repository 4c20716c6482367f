// A Knatter server of the test's own, on a free port, with its own data.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

export class Server {
  #binary;
  #process;
  #output = '';

  /** Builds the command and starts it. */
  static async start() {
    const server = new Server();
    server.directory = mkdtempSync(path.join(tmpdir(), 'knatter-browser-'));
    server.#binary = path.join(server.directory, 'knatter');
    execFileSync('go', ['build', '-o', server.#binary, './local'], { cwd: root, stdio: 'inherit' });
    server.port = await freePort();
    server.origin = `http://127.0.0.1:${server.port}`;
    await server.run();
    return server;
  }

  async run() {
    this.#process = spawn(this.#binary, [
      '--listen', `127.0.0.1:${this.port}`, '--admin', '', '--data', path.join(this.directory, 'data'),
    ]);
    this.#output = '';
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (data) => (this.#output += data));
    }
    for (const deadline = Date.now() + 20_000; ;) {
      const ready = await fetch(`${this.origin}/readyz`).then((r) => r.ok, () => false);
      if (ready) return;
      if (Date.now() > deadline || this.#process.exitCode !== null) throw new Error(`the server does not start:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Ends the process, by default as a crash would. */
  async stop(signal = 'SIGKILL') {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#process.once('exit', resolve));
    this.#process.kill(signal);
    await ended;
  }

  async close() {
    await this.stop('SIGTERM');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A cable between browser and server that can be pulled. */
export class Cable {
  #sockets = new Set();
  #server;

  static async to(port) {
    const cable = new Cable();
    cable.plugged = true;
    cable.#server = net.createServer((near) => {
      if (!cable.plugged) return near.destroy();
      const far = net.connect(port, '127.0.0.1');
      for (const [from, to] of [[near, far], [far, near]]) {
        cable.#sockets.add(from);
        from.pipe(to);
        from.on('error', () => to.destroy());
        from.on('close', () => {
          cable.#sockets.delete(from);
          to.destroy();
        });
      }
    });
    await new Promise((resolve) => cable.#server.listen(0, '127.0.0.1', resolve));
    cable.origin = `http://127.0.0.1:${cable.#server.address().port}`;
    return cable;
  }

  pull() {
    this.plugged = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  plug() {
    this.plugged = true;
  }

  close() {
    this.pull();
    this.#server.close();
  }
}

async function freePort() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
