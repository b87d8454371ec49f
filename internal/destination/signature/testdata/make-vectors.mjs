// Makes vectors.json with the senders' own libraries, so that no signature in it
// is of this project's making:
//
//   npm install stripe@PIN @octokit/webhooks-methods@PIN standardwebhooks@PIN \
//     @shopify/shopify-api@PIN discord-interactions@PIN
//   node make-vectors.mjs > vectors.json
//
// The pins are in the output. Secrets and keys are made up. Discord publishes a
// verifier only: what node's crypto signs is put in after that verifier took it.
import { createRequire } from 'node:module'
import { generateKeyPairSync, sign as edSign } from 'node:crypto'
import Stripe from 'stripe'
import { sign as github } from '@octokit/webhooks-methods'
import { Webhook } from 'standardwebhooks'
import '@shopify/shopify-api/adapters/node'
import { createSHA256HMAC, HashFormat } from '@shopify/shopify-api/runtime'
import { verifyKey } from 'discord-interactions'

const at = 1795428000
const bodies = ['{"id":"evt_1","data":{"record":"c_1"}}', '', '{"name":"Zoë \\u2028 o\'Neil","n":1e3}\n']
const require = createRequire(import.meta.url)
const version = (name) => {
  for (const dir of require.resolve.paths(name)) {
    try { return name + '@' + require(dir + '/' + name + '/package.json').version } catch {}
  }
  throw new Error(name)
}
const out = []
const add = (library, webhook, secret, header, body) => out.push({ library, webhook, secret, header, body, at })

for (const body of bodies) {
  const stripe = new Stripe('sk_test_none')
  add(version('stripe'), { scheme: 'stripe' }, 'whsec_made_up', {
    'stripe-signature': stripe.webhooks.generateTestHeaderString({ payload: body, secret: 'whsec_made_up', timestamp: at }),
  }, body)
  if (body) {
    add(version('@octokit/webhooks-methods'), { scheme: 'hmac-sha256-hex', header: 'X-Hub-Signature-256', prefix: 'sha256=' }, 'It is a secret', {
      'x-hub-signature-256': await github('It is a secret', body),
    }, body)
  }
  add(version('@shopify/shopify-api'), { scheme: 'hmac-sha256-base64', header: 'X-Shopify-Hmac-Sha256' }, 'shpss_made_up', {
    'x-shopify-hmac-sha256': await createSHA256HMAC('shpss_made_up', body, HashFormat.Base64),
  }, body)
  const key = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
  add(version('standardwebhooks'), { scheme: 'standard-webhooks' }, key, {
    'webhook-id': 'msg_1', 'webhook-timestamp': String(at),
    'webhook-signature': 'v1a,AAAA ' + new Webhook(key).sign('msg_1', new Date(at * 1000), body),
  }, body)
  const pair = generateKeyPairSync('ed25519')
  const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex')
  const signature = edSign(null, Buffer.from(at + body), pair.privateKey).toString('hex')
  if (!(await verifyKey(body, signature, String(at), publicKey))) throw new Error('discord-interactions refuses')
  add(version('discord-interactions') + ' (verified)', { scheme: 'ed25519', header: 'X-Signature-Ed25519', timestampHeader: 'X-Signature-Timestamp' }, publicKey, {
    'x-signature-ed25519': signature, 'x-signature-timestamp': String(at),
  }, body)
}
console.log(JSON.stringify(out, null, 1))
