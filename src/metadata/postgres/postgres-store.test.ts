import { describeMetadataStore } from '../describe-metadata-store.ts';
import { openPostgresStore } from './postgres-store.ts';
import { usePostgres } from './scratch-database.ts';

const { newDatabase } = usePostgres();

describeMetadataStore('PostgreSQL', async () => await openPostgresStore(await newDatabase()));
