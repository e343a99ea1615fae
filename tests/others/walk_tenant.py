"""Walks a tenant with Microsoft's own client and prints what it saw, as JSON.

Arguments: the root of the token service and of Graph, the tenant, the client id and the secret.
"""

import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request

from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.organization.organization_request_builder import OrganizationRequestBuilder
from msgraph.generated.users.delta.delta_request_builder import DeltaRequestBuilder
from msgraph.generated.users.users_request_builder import UsersRequestBuilder

ROOT, TENANT, CLIENT_ID, SECRET = sys.argv[1:]

PROPERTIES = [
    "id",
    "userPrincipalName",
    "mail",
    "proxyAddresses",
    "accountEnabled",
    "userType",
    "assignedLicenses",
    "licenseAssignmentStates",
    "onPremisesImmutableId",
    "onPremisesSecurityIdentifier",
]


class ClientSecret:
    """Microsoft's own credential insists on https; the stand-in has none."""

    def get_token(self, *scopes, **_):
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": SECRET,
            "scope": f"{ROOT}/.default",
        }
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{ROOT}/{TENANT}/oauth2/v2.0/token", data) as answer:
            granted = json.load(answer)
        return AccessToken(granted["access_token"], int(time.time()) + granted["expires_in"])


def person(user):
    return {
        "id": user.id,
        "userPrincipalName": user.user_principal_name,
        "mail": user.mail,
        "proxyAddresses": user.proxy_addresses,
        "accountEnabled": user.account_enabled,
        "userType": user.user_type,
        "skus": [str(licence.sku_id) for licence in user.assigned_licenses],
        "states": [[str(state.sku_id), state.state] for state in user.license_assignment_states],
        "immutableId": user.on_premises_immutable_id,
        "sid": user.on_premises_security_identifier,
    }


async def walk():
    provider = AzureIdentityAuthenticationProvider(ClientSecret(), allowed_hosts=["127.0.0.1"])
    adapter = GraphRequestAdapter(provider)
    adapter.base_url = f"{ROOT}/v1.0"
    client = GraphServiceClient(request_adapter=adapter)

    query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(select=PROPERTIES, top=999)
    page = await client.users.get(RequestConfiguration(query_parameters=query))
    people = [person(user) for user in page.value]
    # Not by the client's PageIterator, which takes an empty page for the last one.
    while page.odata_next_link:
        page = await client.users.with_url(page.odata_next_link).get()
        people += [person(user) for user in page.value]

    query = DeltaRequestBuilder.DeltaRequestBuilderGetQueryParameters(select=PROPERTIES)
    page = await client.users.delta.get(RequestConfiguration(query_parameters=query))
    followed = [user.id for user in page.value]
    while page.odata_next_link:
        page = await client.users.delta.with_url(page.odata_next_link).get()
        followed += [user.id for user in page.value]
    later = await client.users.delta.with_url(page.odata_delta_link).get()

    skus = await client.subscribed_skus.get()
    only_id = OrganizationRequestBuilder.OrganizationRequestBuilderGetQueryParameters(select=["id"])
    organizations = await client.organization.get(RequestConfiguration(query_parameters=only_id))
    return {
        "people": people,
        "followed": followed,
        "changedSince": [user.id for user in later.value],
        "skus": [
            {
                "id": str(sku.sku_id),
                "partNumber": sku.sku_part_number,
                "capabilityStatus": sku.capability_status,
                "plans": [plan.service_plan_name for plan in sku.service_plans],
            }
            for sku in skus.value
        ],
        "organizations": [organization.id for organization in organizations.value],
    }


json.dump(asyncio.run(walk()), sys.stdout)
