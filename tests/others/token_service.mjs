// A certified token endpoint (oidc-provider) at the address that Microsoft's has, for one application.
//
// Arguments: port, tenant, client id, a certificate's file, and the secret; without a secret the
// application proves itself by an assertion that the certificate's key signed.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const [port, tenant, clientId, certificate, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const scope = `${issuer}/.default`;

function proof() {
  if (secret) {
    return { token_endpoint_auth_method: 'client_secret_post', client_secret: secret };
  }
  const key = new X509Certificate(readFileSync(certificate)).publicKey.export({ format: 'jwk' });
  return {
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: 'PS256',
    jwks: { keys: [{ ...key, use: 'sig', alg: 'PS256' }] },
  };
}

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientId,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope,
    ...proof(),
  }],
  scopes: [scope],
  clientAuthMethods: ['client_secret_post', 'private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['PS256', 'RS256'] },
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  routes: { token: `/${tenant}/oauth2/v2.0/token` },
});

createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('listening'));
