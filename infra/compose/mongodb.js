// Makes a replica set of the one server, as majority writes and linearizable reads
// need one, and waits until it can be written to. Running it again changes nothing.
try {
  rs.status();
} catch (e) {
  if (e.codeName !== "NotYetInitialized") throw e;
  rs.initiate({ _id: "knatter", members: [{ _id: 0, host: "mongodb:27017" }] });
}
for (let tries = 0; !db.hello().isWritablePrimary; tries++) {
  if (tries === 300) throw new Error("no primary after a minute");
  sleep(200);
}
