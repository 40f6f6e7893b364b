// Signatures as others make and verify them: Node's own OpenSSL for the tag, sigstore's libraries for the bundle.
// judge.cjs verify|sign tag|referrer http://HOST/v2/REPOSITORY MANIFEST-DIGEST KEY-FILE
const crypto = require('node:crypto');
const fs = require('node:fs');
const { bundleFromJSON, bundleToJSON, toDSSEBundle } = require('@sigstore/bundle');
const { Verifier, toSignedEntity, toTrustMaterial } = require('@sigstore/verify');

const [verb, layout, repository, digest, keyFile] = process.argv.slice(2);
const key = fs.readFileSync(keyFile, 'utf8');
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';
const PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json';
const SIGNATURE = 'dev.cosignproject.cosign/signature';
const tag = digest.replace(':', '-');

async function ask(path, options = {}) {
  const answer = await fetch(`${repository}/${path}`, options);
  if (!answer.ok) throw new Error(`${options.method ?? 'GET'} ${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}
const get = async (path) => Buffer.from(await (await ask(path, { headers: { accept: `${MANIFEST}, ${INDEX}` } })).arrayBuffer());
const manifest = async (wanted) => JSON.parse(await get(`manifests/${wanted}`));
const descriptor = (mediaType, bytes) => ({
  mediaType, size: bytes.length, digest: `sha256:${crypto.createHash('sha256').update(bytes).digest('hex')}`,
});

async function upload(mediaType, bytes) {
  const own = descriptor(mediaType, bytes);
  const begun = await ask('blobs/uploads/', { method: 'POST' });
  const place = new URL(begun.headers.get('location'), repository);
  place.searchParams.set('digest', own.digest);
  const headers = { 'content-type': 'application/octet-stream' };
  const done = await fetch(place, { method: 'PUT', headers, body: bytes });
  if (!done.ok) throw new Error(`upload: ${done.status}`);
  return own;
}
const put = (wanted, mediaType, body) => ask(`manifests/${wanted}`, { method: 'PUT', headers: { 'content-type': mediaType }, body });

// As Go's encoder writes it, with a signer's own words.
const payload = () => Buffer.from(JSON.stringify({
  critical: { identity: { 'docker-reference': 'registry.example.com/meter' }, image: { 'docker-manifest-digest': digest }, type: 'cosign container image signature' },
  optional: { signer: 'judge' },
}));

const deeds = {
  async verifytag() {
    const { layers } = await manifest(`${tag}.sig`);
    const bytes = await get(`blobs/${layers[0].digest}`);
    const signature = Buffer.from(layers[0].annotations[SIGNATURE], 'base64');
    if (layers[0].mediaType !== PAYLOAD || layers[0].size !== bytes.length) throw new Error('not the layer of a signature');
    if (!crypto.verify('sha256', bytes, key, signature)) throw new Error('the signature is not by this key');
    const { critical } = JSON.parse(bytes);
    if (critical.image['docker-manifest-digest'] !== digest) throw new Error('the signature is of something else');
    if (critical.type !== 'cosign container image signature') throw new Error(`not a signature of an image: ${critical.type}`);
  },
  async verifyreferrer() {
    const [referrer] = (await manifest(tag)).manifests;
    const carrier = await manifest(referrer.digest);
    if (referrer.artifactType !== BUNDLE || carrier.artifactType !== BUNDLE) throw new Error('not a bundle');
    if (carrier.subject.digest !== digest) throw new Error('it refers to something else');
    const bundle = bundleFromJSON(JSON.parse(await get(`blobs/${carrier.layers[0].digest}`)));
    const der = crypto.createPublicKey(key).export({ type: 'spki', format: 'der' });
    const hint = crypto.createHash('sha256').update(der).digest('base64');
    const root = { certificateAuthorities: [], timestampAuthorities: [], tlogs: [], ctlogs: [] };
    const trust = toTrustMaterial(root, { [hint]: { rawBytes: der } });
    new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 }).verify(toSignedEntity(bundle));
    const statement = JSON.parse(bundle.content.dsseEnvelope.payload);
    if (`sha256:${statement.subject[0].digest.sha256}` !== digest) throw new Error('the statement is about something else');
  },
  async signtag() {
    const bytes = payload();
    const layer = await upload(PAYLOAD, bytes);
    layer.annotations = { [SIGNATURE]: crypto.sign('sha256', bytes, key).toString('base64') };
    const config = await upload('application/vnd.oci.image.config.v1+json', Buffer.from('{"architecture":"","os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{}}'));
    await put(`${tag}.sig`, MANIFEST, JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config, layers: [layer] }));
  },
  async signreferrer() {
    const statement = Buffer.from(JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1', subject: [{ digest: { sha256: digest.slice(7) } }],
      predicateType: 'https://sigstore.dev/cosign/sign/v1', predicate: {},
    }));
    const kind = 'application/vnd.in-toto+json';
    const message = Buffer.concat([Buffer.from(`DSSEv1 ${kind.length} ${kind} ${statement.length} `), statement]);
    const made = toDSSEBundle({ artifact: statement, artifactType: kind, signature: crypto.sign('sha256', message, key), keyHint: 'judge' });
    made.verificationMaterial.tlogEntries = [];
    made.verificationMaterial.timestampVerificationData = { rfc3161Timestamps: [] };
    const layer = await upload(BUNDLE, Buffer.from(JSON.stringify(bundleToJSON(made))));
    const config = await upload('application/vnd.oci.empty.v1+json', Buffer.from('{}'));
    const subject = descriptor(MANIFEST, await get(`manifests/${digest}`));
    const carrier = JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, artifactType: BUNDLE, config, layers: [layer], subject });
    const own = { ...descriptor(MANIFEST, Buffer.from(carrier)), artifactType: BUNDLE };
    await put(own.digest, MANIFEST, carrier);
    await put(tag, INDEX, JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [own] }));
  },
};
deeds[verb + layout]().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
