// A certified identity provider (oidc-provider), in which whoever types a name is that person: `ops-…` has the role
// `intake-operators`, `look-…` the role `intake-viewers`, others have none.
//
// Arguments: port, client id, where browsers come back to, and the client's secret; without one the client is public.

import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const [port, clientId, redirect, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;

function rolesOf(name) {
  if (name.startsWith('ops-')) return ['intake-operators', 'other'];
  return name.startsWith('look-') ? ['intake-viewers'] : [];
}

const provider = new Provider(issuer, {
  clients: [{
    client_id: clientId,
    grant_types: ['authorization_code'],
    response_types: ['code'],
    redirect_uris: [redirect],
    application_type: 'native',
    ...(secret
      ? { client_secret: secret, token_endpoint_auth_method: 'client_secret_basic' }
      : { token_endpoint_auth_method: 'none' }),
  }],
  pkce: { required: () => true },
  claims: { openid: ['sub', 'roles', 'preferred_username'], profile: ['name'], email: ['email'] },
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, preferred_username: `${id}@contoso.test`, roles: rolesOf(id) }),
  }),
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ['a key for tests alone'] },
});

createServer(provider.callback()).listen(Number(port), '127.0.0.1', () => console.log('listening'));
