// Uses the Node client as an application would, against the emulator that
// SPANNER_EMULATOR_HOST names. Ends with "all good" or with an error.
import assert from 'node:assert';
import {Spanner} from '@google-cloud/spanner';

const spanner = new Spanner({projectId: 'p'});
const [instance, made] = await spanner.createInstance('i', {config: 'emulator-config', nodes: 1, displayName: 'i'});
await made.promise();
const [database, making] = await instance.createDatabase('db', {
  schema: [
    'CREATE TABLE Orders (Id INT64 NOT NULL, Item STRING(MAX), Price NUMERIC) PRIMARY KEY (Id)',
    'CREATE CHANGE STREAM OrderStream FOR Orders',
  ],
});
await making.promise();

const before = new Date();
await database.table('Orders').upsert([{Id: '1', Item: 'one'}, {Id: '2', Item: 'two'}]);
await database.runTransactionAsync(async tx => {
  const [rows] = await tx.run({sql: 'SELECT COUNT(*) AS N FROM Orders'});
  assert.equal(rows[0].toJSON().N, 2);
  const [count] = await tx.runUpdate({sql: "UPDATE Orders SET Item = 'second' WHERE Id = @id", params: {id: 2}});
  assert.equal(count, 1);
  await tx.commit();
});
const [rows] = await database.run({sql: 'SELECT Id, Item FROM Orders WHERE Id = @id', params: {id: 2}});
assert.equal(rows[0].toJSON().Item, 'second');

// The initial query, then one partition with an endless query, as it goes.
const start = new Date(before.getTime() + 1).toISOString();
const sql = token => ({
  sql: 'SELECT ChangeRecord FROM READ_OrderStream(@start, NULL, @token, 10000)',
  params: {start, token}, types: {start: 'timestamp', token: 'string'},
});
const [roots] = await database.run(sql(null));
const tokens = roots.flatMap(r => r.toJSON({wrapNumbers: true}).ChangeRecord)
    .flatMap(r => r.child_partitions_record).flatMap(r => r.child_partitions).map(p => p.token);
assert.equal(tokens.length, 2);

const seen = await new Promise((resolve, reject) => {
  const mods = [];
  const streams = tokens.map(token => database.runStream(sql(token)));
  const timer = setTimeout(() => reject(new Error(`only ${mods.length} changes came`)), 20000);
  for (const stream of streams) {
    stream.on('error', reject);
    stream.on('data', row => {
      for (const record of row.toJSON({wrapNumbers: true}).ChangeRecord) {
        for (const data of record.data_change_record) mods.push([data.mod_type, data.mods.length]);
      }
      if (mods.length === 1) {
        database.table('Orders').deleteRows(['1']).catch(reject); // must come while the query runs
      }
      if (mods.length === 3) {
        clearTimeout(timer);
        streams.forEach(s => s.destroy());
        resolve(mods);
      }
    });
  }
});
assert.deepEqual(seen, [['INSERT', 2], ['UPDATE', 1], ['DELETE', 1]]);
console.log('all good');
process.exit(0);
