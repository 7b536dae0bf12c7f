// mongodb on a real server that speaks its protocol.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { MongoClient } from 'mongodb'
import { span } from 'ioprofiler'
import { mongodb, needs } from './support/servers.mjs'
import { brief, callsOf, interleaved, profiler } from './support/requests.mjs'

describe('mongodb', { skip: needs('secantusd-py') }, () => {
  let server
  let client
  let listings
  const connect = (maxPoolSize) => new MongoClient(`mongodb://${server.host}:${server.port}/?maxPoolSize=${maxPoolSize}`)
  before(async () => {
    server = await mongodb()
    client = connect(1)
    listings = client.db('shop').collection('listings')
  })
  after(() => client.close())

  test('it is hooked, and says so', () => {
    assert.ok(profiler.hooks.some(({ name, hooked }) => /^mongodb \d/.test(name) && hooked))
  })

  test('operations of all kinds are calls, by their shape, with rows and outcome', async () => {
    const { calls } = await callsOf(async () => {
      await listings.insertMany([{ _id: 1, price: 10, title: 'Clay pot' }, { _id: 2, price: 20 }, { _id: 3, price: 30 }])
      await listings.insertOne({ _id: 4, price: 40 })
      await listings.find({ price: { $gt: 15 }, title: { $ne: 'secret' }, _id: { $in: [1, 2, 3] } }).sort({ price: 1 }).toArray()
      assert.equal((await listings.find({}).batchSize(2).toArray()).length, 4)
      await listings.findOne({ _id: 1 })
      await listings.updateOne({ _id: 1 }, { $set: { price: 11 } })
      await listings.updateMany({}, { $inc: { price: 1 } })
      await listings.deleteOne({ _id: 4 })
      await listings.aggregate([{ $match: { price: { $gt: 5 } } }, { $group: { _id: null, sum: { $sum: '$price' } } }]).toArray()
      await listings.distinct('price', { _id: 1 })
      await listings.findOneAndUpdate({ _id: 2 }, { $set: { title: 'x' } })
      await listings.bulkWrite([{ insertOne: { document: { _id: 5 } } }, { updateOne: { filter: { _id: 5 }, update: { $set: { price: 1 } } } }])
      await client.db('shop').command({ ping: 1 })
      await assert.rejects(client.db('shop').command({ nonsense: 1 }))
      await assert.rejects(listings.insertOne({ _id: 1 }))
    })
    assert.deepEqual(brief(calls), [
      'mongodb insert listings 3 documents ok',
      'mongodb insert listings 1 document ok',
      'mongodb find listings {price: {$gt: ?}, title: {$ne: ?}, _id: {$in: [?]}} sorted ok',
      'mongodb find listings {} ok',
      'mongodb getMore listings ok',
      'mongodb getMore listings ok',
      'mongodb find listings {_id: ?} ok',
      'mongodb update listings {_id: ?} {$set: {price: ?}} ok',
      'mongodb update listings {} {$inc: {price: ?}} ok',
      'mongodb delete listings {_id: ?} ok',
      'mongodb aggregate listings [{$match: {price: {$gt: ?}}}, {$group: {_id: ?, sum: {$sum: ?}}}] ok',
      'mongodb distinct listings price {_id: ?} ok',
      'mongodb findAndModify listings {_id: ?} ok',
      'mongodb insert listings 1 document ok',
      'mongodb update listings {_id: ?} {$set: {price: ?}} ok',
      'mongodb ping ok',
      'mongodb nonsense error',
      'mongodb insert listings 1 document error',
    ])
    assert.deepEqual([calls[0].rows, calls[2].rows, calls[3].rows, calls[8].rows, calls[9].rows], [3, 2, 2, 4, 1])
    assert.equal(calls[0].target, `127.0.0.1:${server.port}/shop`)
    assert.doesNotMatch(JSON.stringify(calls), /secret|Clay/)
  })

  test('interleaved requests over pools of 1 and 10: each operation is its own request\'s', async () => {
    for (const size of [1, 10]) {
      const busy = connect(size)
      const collection = busy.db('shop').collection('listings')
      const details = await interleaved(500, async (index) => {
        await collection.findOne({ [`a${index}`]: 1 })
        await Promise.all([collection.findOne({ [`b${index}`]: 1 }), collection.findOne({ [`c${index}`]: 1 })])
      })
      details.forEach((own, index) => {
        assert.deepEqual(own.sort(), ['a', 'b', 'c'].map((letter) => `find listings {${letter}${index}: ?}`))
      })
      await busy.close()
    }
  })

  test('a call that the application marks has the operation\'s detail', async () => {
    const { calls } = await callsOf(() => span('shop_db', 'find', () => listings.findOne({ _id: 1 })))
    assert.deepEqual(brief(calls), ['shop_db find listings {_id: ?} ok'])
  })

  test('as many calls as the server counted', async () => {
    const count = async () => {
      const { opcounters } = await client.db('admin').command({ serverStatus: 1 })
      return opcounters.query + opcounters.insert + opcounters.update + opcounters.delete
    }
    const before = await count()
    const { calls } = await callsOf(async () => {
      for (let i = 0; i < 20; i++) {
        await listings.findOne({ _id: i })
        await listings.updateOne({ _id: i }, { $set: { seen: true } })
      }
    })
    assert.equal((await count()) - before, calls.length)
    assert.equal(calls.length, 40)
  })

  test('undone, it is as it was', async () => {
    profiler.uninstrument()
    assert.deepEqual((await callsOf(() => listings.findOne({ _id: 1 }))).calls, [])
    profiler.instrument()
    assert.equal((await callsOf(() => listings.findOne({ _id: 1 }))).calls.length, 1)
  })
})
